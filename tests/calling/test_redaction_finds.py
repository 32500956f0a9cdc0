"""What counts as personal data in a text, and what only looks like it."""

from importlib.util import find_spec

import pytest

from optimizer.calling.redaction.detectors import find, finders
from optimizer.calling.redaction.spans import Span, united
from optimizer.errors import MissingExtra
from optimizer.settings.sections import RedactionSettings

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----"
DIGITS = "0123456789abcdef" * 2
LOOKING = finders(RedactionSettings(enabled=True, regions=("US", "DE")))


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in find(text, LOOKING)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", "alice@example.com"),
        ("email", "bob.smith+news@mail.example.co.uk"),
        ("email", "jürgen@müller.example"),
        ("phone", "(415) 555-2671"),
        ("phone", "415-555-2671"),
        ("phone", "415.555.2671"),
        ("phone", "415 555 2671"),
        ("phone", "+1 415 555 2671"),
        ("phone", "+442079460958"),
        ("phone", "030 901820"),
        ("card", "4111111111111111"),
        ("card", "4111 1111 1111 1111"),
        ("card", "5555-5555-5555-4444"),
        ("card", "3782 822463 10005"),
        ("card", "6011111111111117"),
        ("iban", "DE89370400440532013000"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("iban", "FR14 2004 1010 0505 0001 3M02 606"),
        ("ssn", "536-90-4399"),
        ("ip", "203.0.113.9"),
        ("ip", "2001:db8::1"),
        ("ip", "fe80::1ff:fe23:4567:890a"),
        ("ip", "::ffff:203.0.113.7"),
        ("secret", "sk-proj-abcDEF1234567890abcd"),
        ("secret", "sk-or-v1-" + DIGITS),
        ("secret", "AKIAIOSFODNN7EXAMPLE"),
        ("secret", "ghp_" + DIGITS),
        ("secret", "xoxb-123456789012-abcdef"),
        ("secret", JWT),
        ("secret", PEM),
        ("secret", PEM.replace("\n", "\\n")),
    ],
)
def test_a_value_is_found_whole_amid_prose(kind: str, value: str) -> None:
    assert found(f"Write ({value}), please. Thanks") == [(kind, value)]
    assert found(value) == [(kind, value)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("phone: 4155552671", "phone", "4155552671"),
        ("my social security number is 536904399", "ssn", "536904399"),
        ("card 4111 1111 1111 1111 123 and 12/29", "card", "4111 1111 1111 1111"),
        ("to DE89 3704 0044 0532 0130 00 BANK today", "iban", "DE89 3704 0044 0532 0130 00"),
        ("http://10.0.0.1:8080/", "ip", "10.0.0.1"),
        ("Authorization: Bearer " + DIGITS, "secret", DIGITS),
        (f'{{"api_key": "{DIGITS}"}}', "secret", DIGITS),
        ("https://x.example/?token=" + DIGITS + "&page=2", "secret", DIGITS),
        ("export DB_PASSWORD=Secr3tPass!", "secret", "Secr3tPass!"),
        ("postgres://bob:hunter2@db:5432/x", "secret", "hunter2"),
    ],
)
def test_what_stands_before_a_value_helps_to_find_it(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        'version 1.2.3.4, v2.0.1.7, Chrome/120.0.0.0, numpy==1.2.3.4, version="1.0.0.0"',
        "127.0.0.1 0.0.0.0 255.255.255.0 ::1 1.2.3.4.5 300.1.2.3",
        "2024-11-12 10:30:55, 12.04.2024, 04/12/2024, 2024-11-12T10:30:55.123456Z, 20241112, 1732442400123",
        "order 1234567890, no. 112-1234567-1234567, #4155552671, ORD-20241112-0042, invoice 2025-000123",
        "550e8400-e29b-41d4-a716-446655440000 12345678-1234-1234-1234-123456789012 d41d8cd98f00b204e9800998ecf8427e",
        "std::vector<int> a::b c1::d2 12:34:56 aa:bb:cc:dd:ee:ff aa:bb:cc:dd:ee:ff:00:11",
        "a@b.reshape(2) x @ y @dataclass pkg@1.2.3 user@host",
        "for i in range(1000000, 2000000): x[i] = 3.14159265358979 + 1e-10; 0xdeadbeef; 1_000_000; 1,234,567.89",
        "token = get_token_from_request(request); key=lambda x: x.name; password = os.environ['PASSWORD']; secret: str",
        "isbn 978-3-16-148410-0, ean 4006381333931, at 37.7749295, -122.4194155; 1.504 609 5178 e-26",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; 100 200 300; 10 000 000 000; 4111111111111112; DE89370400440532013001",
        "sk-learn, task-force, risk-averse-behaviour; 000-12-3456; 1000-2000-3000; doi 10.5281/zenodo.1234567",
    ],
)
def test_ordinary_numbers_and_code_are_left_alone(text: str) -> None:
    assert found(text) == []


def test_a_pattern_of_ones_own_is_found() -> None:
    looking = finders(RedactionSettings(enabled=True, kinds=(), patterns=(r"EMP-\d+", "x*")))
    assert find("ask EMP-1234", looking) == [Span(4, 12, "custom")]


def test_only_the_kinds_asked_for_are_found() -> None:
    looking = finders(RedactionSettings(enabled=True, kinds=("ip",)))
    assert find("alice@example.com 203.0.113.9", looking) == [Span(18, 29, "ip")]


def test_finds_that_overlap_are_one_that_covers_both() -> None:
    """The password of a URL and what looks like an e-mail after it: one secret, and nothing of either is left."""
    text = "postgres://bob:hunter2@db.example.com/x"
    assert found(text) == [("secret", "hunter2@db.example.com")]
    assert united([Span(3, 9, "phone"), Span(0, 4, "card"), Span(9, 10, "ip")]) == [
        Span(0, 9, "card"),
        Span(9, 10, "ip"),
    ]


def test_encoded_data_is_not_searched() -> None:
    data = "data:image/png;base64," + "AKIAIOSFODNN7EXAMPLE" * 3
    long_run = "AKIAIOSFODNN7EXAMPLE/" * 60
    assert found(f"{data} {long_run} alice@example.com") == [("email", "alice@example.com")]


def test_phone_numbers_are_known_by_their_country() -> None:
    american = finders(RedactionSettings(enabled=True, kinds=("phone",), regions=("US",)))
    assert find("030 901820", american) == []
    assert len(find("030 901820 or +49 30 901820", american)) == 1


def test_presidio_names_its_extra_where_it_is_missing() -> None:
    if find_spec("presidio_analyzer"):
        pytest.skip("presidio is installed")
    with pytest.raises(MissingExtra, match=r"orchestra-optimizer\[presidio\]"):
        finders(RedactionSettings(enabled=True, engine="presidio"))


def test_a_list_of_numbers_on_one_line_is_found_and_a_table_is_not() -> None:
    listed = [f"415-555-26{i}" for i in range(10, 40)]
    assert found(" ".join(listed)) == [("phone", number) for number in listed]
    assert found(" ".join(f"+1 415 555 26{i}" for i in range(10, 20))) != []
    assert found(" ".join(f"{i} {i * 37}.{i % 10}" for i in range(100, 400))) == []


def test_a_hundred_thousand_brackets_are_searched_in_one_go() -> None:
    """Written the other way, the pattern took three minutes for them."""
    assert found("(" * 100_000) == []
