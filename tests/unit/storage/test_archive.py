"""Archives from strangers."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import FormatError
from headrace.storage.archive import Limits, iter_members, safe_name

FILES = {"train/cat/1.png": b"one", "train/dog/2.png": b"two"}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz", **fields: object) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def read(path: Path, limits: Limits | None = None) -> dict[str, bytes]:
    return {member.name: member.content for member in iter_members(path, limits=limits or Limits())}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_is_read_in_every_compression(tmp_path, mode):
    """The content tells the compression, whatever the name says."""
    assert read(make_tar(tmp_path / "data.bin", FILES, mode)) == FILES


def test_zip_is_read_in_its_own_order(tmp_path):
    """Record order follows the archive, so equal bytes give equal shards."""
    files = {"b": b"1", "a": b"2"}

    assert list(read(make_zip(tmp_path / "data.zip", files))) == ["b", "a"]


@pytest.mark.badinput
@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/../../b", "C:/x", "a\\..\\b", "new\nline"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_name_that_leads_out_is_refused(tmp_path, name, make):
    """One bad name refuses the whole archive: whoever made it meant harm or made an error."""
    path = make(tmp_path / "bad", {"good": b"", name: b"x"})
    with pytest.raises(FormatError, match="refused"):
        read(path)


@pytest.mark.badinput
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_link_or_device_in_tar_is_refused(tmp_path, kind):
    """A link followed by a file through it writes anywhere."""
    path = make_tar(tmp_path / "bad.tar", {"link": b""}, "w", type=kind, linkname="/etc")
    with pytest.raises(FormatError, match="link"):
        read(path)


@pytest.mark.badinput
def test_link_in_zip_is_refused(tmp_path):
    """Zip keeps Unix links in its external attributes."""
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(FormatError, match="link or a device"):
        read(tmp_path / "bad.zip")


@pytest.mark.badinput
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", ["zip", "tar"])
def test_name_that_stands_twice_is_refused(tmp_path, make):
    """Readers differ in which of two equal names counts, so a check and a use would see different files."""
    path = tmp_path / "bad"
    if make == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", "1")
            archive.writestr("./a", "2")
    else:
        with tarfile.open(path, "w") as archive:
            for _ in range(2):
                archive.addfile(tarfile.TarInfo("a"))
    with pytest.raises(FormatError, match="twice"):
        read(path)


@pytest.mark.badinput
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bomb_is_refused_before_it_is_unpacked(tmp_path, make):
    """Zeros compress a thousand times; no data set does."""
    path = make(tmp_path / "bomb", {f"zeros-{n}": bytes(1 << 20) for n in range(8)})
    with pytest.raises(FormatError, match="times as many"):
        read(path, Limits(free_bytes=1 << 20))


@pytest.mark.badinput
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_caps_on_count_and_size(tmp_path, make):
    """A million empty members and one huge member are both refused."""
    many = make(tmp_path / "many", {f"{n}": b"" for n in range(11)})
    large = make(tmp_path / "large", {"a": bytes(1001)})
    with pytest.raises(FormatError, match="10"):
        read(many, Limits(max_members=10))
    with pytest.raises(FormatError, match="more than 1000"):
        read(large, Limits(max_member_bytes=1000))


@pytest.mark.badinput
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_truncated_archive_is_told(tmp_path, make):
    """Half an archive is never half a data set."""
    path = make(tmp_path / "cut", {f"{n}.bin": bytes(range(256)) * 40 for n in range(20)})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(FormatError, match=r"cut short|damaged"):
        read(path)


@pytest.mark.badinput
def test_flipped_byte_in_zip_is_found_by_its_checksum(tmp_path):
    """Stored members have a CRC; it is verified on every read."""
    with zipfile.ZipFile(tmp_path / "flip.zip", "w") as archive:
        archive.writestr("a", b"x" * 1000)
    content = bytearray((tmp_path / "flip.zip").read_bytes())
    content[500] ^= 1
    (tmp_path / "flip.zip").write_bytes(content)
    with pytest.raises(FormatError, match="CRC"):
        read(tmp_path / "flip.zip")


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("content", "told"), [(b"", "empty"), (b"<!DOCTYPE html><html>", "web page"), (b"a,b\n1,2\n", "no zip or tar")]
)
def test_file_that_is_no_archive_is_told(tmp_path, content, told):
    """The message says what the file looks like."""
    (tmp_path / "data.zip").write_bytes(content)
    with pytest.raises(FormatError, match=told):
        read(tmp_path / "data.zip")


@given(st.text(max_size=40))
def test_safe_names_are_fixed_points(name):
    """Cleaning a clean name changes nothing, so two checks cannot disagree."""
    try:
        clean = safe_name(name)
    except ValueError:
        return

    assert safe_name(clean) == clean
