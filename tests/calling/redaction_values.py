"""Personal data made up by hypothesis: each value is valid, so that it must be found."""

from hypothesis import strategies as st
from stdnum import luhn
from stdnum.iso7064 import mod_97_10

_letters = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8)
_digits = "0123456789"

emails = st.builds("{}.{}@{}.example".format, _letters, _letters, _letters)
ips = st.builds("203.0.{}.{}".format, st.integers(0, 255), st.integers(0, 255))
ssns = st.builds("{}-{:02d}-{:04d}".format, st.integers(100, 665), st.integers(1, 99), st.integers(1, 9999)).filter(
    lambda ssn: ssn not in {"219-09-9999", "457-55-5462"}
)
secrets = st.text(_digits + "abcdef", min_size=32, max_size=48).map("sk-or-v1-{}".format)
phones = st.builds("+1 415 55{} {:04d}".format, st.integers(5, 9), st.integers(0, 9999))


def _card(body: str) -> str:
    number = "4" + body
    return number + str(luhn.calc_check_digit(number))


def _iban(body: str) -> str:
    return "DE" + mod_97_10.calc_check_digits(body + "DE") + body


cards = st.text(_digits, min_size=14, max_size=14).map(_card)
ibans = st.text("123456789", min_size=18, max_size=18).map(_iban)
values = st.one_of(emails, ips, ssns, secrets, phones, cards, ibans)

# Prose with traps: brackets, escapes, and text that looks like placeholders, whole and in part.
words = st.sampled_from(
    ["hello", "the order", "[", "]", "\\", "\\[", "\\]", "[EMAIL_1]", "EMAIL_2", "[CARD_", "_1]", "IP_1", "[ ", "EMA",
     "(", ")", "\n", "—", "日本語", "{", "}", '"', "1.", "x = 3;"]
)  # fmt: skip
prompts = st.lists(st.one_of(values, words), max_size=12).map(" ".join)
