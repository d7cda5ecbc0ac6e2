"""File systems of their own for the data of nodes: small, so that they fill, and they break when told to."""

import fcntl
import functools
import os
import shutil
import struct
import subprocess
import tempfile
import time

# EXT4_IOC_SHUTDOWN: from then on every read and write of the file system ends with EIO, as on a disk that is gone. What its
# own journal had not written yet is lost.
SHUTDOWN = 0x8004587D
WITHOUT_FLUSH = struct.pack("I", 2)


class Disk:
    """An ext4 in a file, mounted at `path`."""

    def __init__(self, path, mebibytes):
        self.path, self.image = path, path + ".img"
        with open(self.image, "wb") as file:
            file.truncate(mebibytes << 20)
        run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        os.makedirs(path)
        self._mount()

    def _mount(self):
        run("mount", "-o", "loop", self.image, self.path)

    def _unmount(self):
        for _ in range(50):
            if subprocess.run(["umount", self.path], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        run("umount", self.path)

    def fail(self):
        """Everything on it fails from now on."""
        folder = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(folder, SHUTDOWN, WITHOUT_FLUSH)
        os.close(folder)

    def heal(self):
        """Whole again, with what was durable. Nobody may use it meanwhile."""
        self._unmount()
        self._mount()

    def fill(self, leaving):
        """Takes all room but so many bytes."""
        room = os.statvfs(self.path)
        with open(self.path + "/ballast", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - leaving)

    def empty(self):
        os.unlink(self.path + "/ballast")

    def destroy(self):
        self._unmount()
        os.rmdir(self.path)
        os.unlink(self.image)


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(arguments)}: {done.stderr.strip()}")


@functools.cache
def missing():
    """Why there can be no such file system here; None when there can."""
    directory = tempfile.mkdtemp(prefix="filestore-disk-")
    try:
        disk = Disk(directory + "/disk", 8)
        try:
            disk.fail()
        finally:
            disk.destroy()
        return None
    except OSError as error:
        return f"no file system to break (root, loop devices, mkfs.ext4 are needed): {error}"
    finally:
        shutil.rmtree(directory)
