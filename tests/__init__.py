"""Tests, as a package: files of the same name in two folders stay apart."""
