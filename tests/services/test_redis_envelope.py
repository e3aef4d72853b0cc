from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from rtserver.core.errors import BrokerError
from rtserver.core.messages import ClientInfo, Publication
from rtserver.services.redis_envelope import (
    BadEnvelope,
    build_info,
    build_meta,
    build_publication,
    parse_info,
    parse_publication,
    read_publication,
)

infos = st.builds(
    ClientInfo,
    st.text(max_size=20),
    st.text(max_size=20),
    st.binary(max_size=30).map(Raw),
    st.binary(max_size=30).map(Raw),
)
publications = st.builds(
    Publication,
    st.binary(max_size=100).map(Raw),
    st.none() | infos,
    st.just(0),
    st.none() | st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=4),
    st.booleans(),
)


def facts(publication: Publication) -> tuple[object, ...]:
    info = publication.info
    client = None if info is None else (info.user, info.client, bytes(info.conn_info), bytes(info.chan_info))
    return bytes(publication.data), client, publication.offset, publication.tags, publication.delta


@given(publications)
def test_a_publication_survives_the_way_through_pub_sub(publication: Publication) -> None:
    message = build_publication(build_meta(publication), bytes(publication.data))
    parsed, epoch, at = parse_publication(message)
    assert facts(parsed) == facts(publication) and (epoch, at) == ("", 0)


@given(publications, st.integers(1, 2**53), st.from_regex("[a-zA-Z]{8}", fullmatch=True))
def test_a_stored_publication_survives_with_its_position(publication: Publication, offset: int, epoch: str) -> None:
    meta, data = build_meta(publication), bytes(publication.data)
    publication.offset = offset
    message = b"p:%d:%b:1700000000123:%d:%b%b" % (offset, epoch.encode(), len(meta), meta, data)
    parsed, parsed_epoch, at = parse_publication(message)
    assert facts(parsed) == facts(publication) and (parsed_epoch, at) == (epoch, 1700000000123)
    assert facts(read_publication(offset, meta, data)) == facts(publication)


@given(infos)
def test_client_info_survives(info: ClientInfo) -> None:
    assert facts(Publication(info=parse_info(build_info(info)))) == facts(Publication(info=info))


def test_nothing_but_data_needs_no_meta() -> None:
    assert build_meta(Publication(Raw(b"x"))) == b""
    assert build_publication(b"", b"a:b") == b"p:0::0:0:a:b"


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_and_nothing_worse(message: bytes) -> None:
    for parse in (parse_publication, parse_info):
        try:
            parse(message)
        except BadEnvelope as error:
            assert isinstance(error, BrokerError)


@pytest.mark.parametrize(
    "message",
    [b"", b"p:", b"p:x::0:0:", b"p:1:\xff:0:0:", b"p:1:e:0:x:", b"p:1:e:y:0:", b"p:1:e:0:3:{}}", b"p:1:e:0:2:[]"],
)
def test_broken_publications_are_refused(message: bytes) -> None:
    with pytest.raises(BadEnvelope):
        parse_publication(message)
