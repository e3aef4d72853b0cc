"""Fossil deltas: what is made can be applied, here and by the Python SDK, and nothing else can."""

from __future__ import annotations

import pytest
from centrifuge.fossil import apply_delta
from hypothesis import given
from hypothesis import strategies as st

from rtserver.core.fossil import BLOCK, MAX_MATCHES, MAX_SIZE, DeltaError, apply, checksum, create, digits


def both_ways(base: bytes, target: bytes) -> bytes:
    """The delta, after the round trip with this module and with the SDK."""
    delta = create(base, target)
    assert delta is not None
    assert apply(base, delta) == target
    assert bytes(apply_delta(base, delta)) == target
    return delta


@st.composite
def edits(draw: st.DrawFn, alphabet: st.SearchStrategy[bytes]) -> tuple[bytes, bytes]:
    """A base and what a few changes make of it."""
    base = b"".join(draw(st.lists(alphabet, max_size=80)))
    target = base
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(target)))
        end = draw(st.integers(start, min(len(target), start + 40)))
        new = draw(alphabet) if draw(st.booleans()) else base[: draw(st.integers(0, len(base)))]
        target = target[:start] + new + target[end:]
    return base, target


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_two_texts_have_a_delta(base: bytes, target: bytes) -> None:
    both_ways(base, target)


@given(edits(st.binary(max_size=60)))
def test_a_changed_text_is_made_again(pair: tuple[bytes, bytes]) -> None:
    both_ways(*pair)


@given(edits(st.sampled_from([b"a", b"ab", b"xxxxxxxxxxxxxxxx", b"0123456789abcdefghij"])))
def test_a_text_that_repeats_itself_is_made_again(pair: tuple[bytes, bytes]) -> None:
    both_ways(*pair)


@given(st.lists(st.text(max_size=12), max_size=20), st.lists(st.text(max_size=12), max_size=20), st.text(max_size=60))
def test_the_delta_of_two_texts_is_a_text(first: list[str], second: list[str], common: str) -> None:
    base, target = common.join(first).encode(), common.join(second).encode()
    both_ways(base, target).decode()


def test_letters_that_share_their_first_byte_are_not_cut() -> None:
    base = '{"text":"Привет, мир, как дела сегодня","n":"ы"}'.encode()
    target = '{"text":"Привет, мур, как дела сегодня","n":"э"}'.encode()
    delta = both_ways(base, target)
    assert "у" in delta.decode() and len(delta) < len(target)


def test_one_changed_field_of_a_500_byte_payload_costs_a_few_bytes() -> None:
    payloads = [b'{"n":%d,"pad":"%b"}' % (number, b"x" * 480) for number in range(10)]
    for base, target in zip(payloads, payloads[1:], strict=False):
        assert len(both_ways(base, target)) < 30


def test_what_moved_is_found_at_its_new_place() -> None:
    rows = [b'{"id":%d,"name":"row number %d of the table"},' % (number, number * 7919) for number in range(40)]
    base = b"".join(rows)
    target = b"".join(rows[20:] + rows[:20])
    assert len(both_ways(base, target)) < 100


def test_short_matches_between_changing_numbers_are_found_in_a_small_base() -> None:
    def quote(n: int) -> bytes:
        return b'{"symbol":"BTCUSD","bid":%d,"ask":%d,"volume":%d,"time":%d}' % (n * 7, n * 11, n * 13, n * 17)

    assert len(both_ways(quote(123_457), quote(654_323))) < len(quote(654_323))


def test_empty_texts_have_a_delta() -> None:
    assert both_ways(b"", b"") == b"0\n0;"
    assert both_ways(b"abc", b"") == b"0\n0;"
    assert both_ways(b"", b"abc").startswith(b"3\n3:abc")


def test_a_text_without_end_is_not_searched() -> None:
    large = bytes(MAX_SIZE + 1)
    assert create(large, b"a") is None
    assert create(b"a", large) is None
    both_ways(bytes(MAX_SIZE), bytes(MAX_SIZE))


def test_after_many_matches_the_rest_is_inserted() -> None:
    blocks = [number.to_bytes(4, "big") * (BLOCK // 4) for number in range(MAX_MATCHES + 500)]
    base, target = b"".join(blocks), b"".join(reversed(blocks))
    assert both_ways(base, target).count(b"@") <= MAX_MATCHES + 2


def test_numbers_are_written_in_base_64() -> None:
    assert [digits(number) for number in (0, 9, 10, 35, 36, 37, 63, 64, 4095, 2**32 - 1)] == [
        *(b"0", b"9", b"A", b"Z", b"_", b"a", b"~", b"10", b"~~", b"3~~~~~"),
    ]


def test_the_checksum_adds_words_and_fills_the_last_one_up() -> None:
    assert checksum(b"") == 0
    assert checksum(b"\x00\x00\x00\x01" * 3) == 3
    assert checksum(b"\x01") == 1 << 24
    assert checksum(b"\x01\x02\x03\x04\x05\x06") == 0x01020304 + 0x05060000
    assert checksum(b"\xff" * 8) == 0xFFFFFFFE


@pytest.mark.parametrize(
    "delta",
    [
        b"",
        b"5",
        b"5\n",
        b"\n",
        b"5:hello",
        b"5\n5:hello",
        b"5\n5:hell",
        b"5\n6:hello!0;",
        b"5\n9@0,0;",
        b"5\n5@9,0;",
        b"5\n5@0;",
        b"5\n5?0;",
        b"5\n5@0,0;",
        b"4\n5@0,0;",
        b"6\n5@0,0;",
        b"0\n0;x",
        b"1111111\n0;",
        b"zzzzzz\n0;",
        b"-1\n0;",
    ],
)
def test_a_damaged_delta_is_refused(delta: bytes) -> None:
    with pytest.raises(DeltaError):
        apply(b"hello", delta)


def test_a_delta_for_another_base_is_refused() -> None:
    delta = create(b"the quick brown fox jumps", b"the quick brown cat jumps")
    assert delta is not None
    with pytest.raises(DeltaError):
        apply(b"the quick black fox jumps", delta)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_bytes_are_a_delta_or_refused(base: bytes, delta: bytes) -> None:
    try:
        apply(base, delta)
    except DeltaError:
        return
