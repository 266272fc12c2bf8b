import os

import pytest

from actors.keeper_process.low import LowDescriptors


def test_what_is_held_is_open_at_a_low_number_and_closed_there_afterwards() -> None:
    low = LowDescriptors(2)
    reader, writer = os.pipe()

    with low.hold([writer]) as [place]:
        os.write(place, b"through")
        assert not os.get_inheritable(place)
    os.close(writer)

    assert os.read(reader, 100) == b"through"
    assert os.read(reader, 100) == b""  # nobody holds the other end any more
    os.close(reader)
    low.close()


def test_an_error_inside_frees_the_places() -> None:
    low = LowDescriptors(1)
    reader, writer = os.pipe()

    with pytest.raises(OSError, match="spawn"), low.hold([writer]):
        raise OSError("spawn")
    os.close(writer)

    assert os.read(reader, 100) == b""
    os.close(reader)
    low.close()
