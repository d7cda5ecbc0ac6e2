import CLinux
import Glibc

/// Names in directories. Everything blocks; errors are `SystemError`.
package enum FileSystem {
  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  package static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether what is written there stays in memory (tmpfs), where making it durable costs nothing.
  package static func isInMemory(_ path: String) throws(SystemError) -> Bool {
    let magic = fs_file_system_magic(path)
    guard magic >= 0 else { throw SystemError("statfs", path) }
    return magic == temporaryFileSystem
  }

  /// TMPFS_MAGIC of linux/magic.h.
  private static let temporaryFileSystem: Int64 = 0x0102_1994

  /// The permission bits, for instance to warn of a key that others can read.
  package static func mode(_ path: String) throws(SystemError) -> UInt32 {
    var status = stat()
    guard stat(path, &status) == 0 else { throw SystemError("stat", path) }
    return status.st_mode & 0o7777
  }

  /// Mode 0700. `isMissing` without its parent, `exists` when it is there.
  package static func makeDirectory(_ path: String, mode: UInt32 = 0o700) throws(SystemError) {
    guard mkdir(path, mode) == 0 else { throw SystemError("mkdir", path) }
  }

  /// The names in a directory, sorted, without `.` and `..`.
  package static func list(_ path: String) throws(SystemError) -> [String] {
    guard let directory = opendir(path) else { throw SystemError("opendir", path) }
    defer { closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(directory) else {
        guard errno == 0 else { throw SystemError("readdir", path) }
        return names.sorted()
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
  }

  /// Atomic; durable after `synchronizeDirectory`.
  package static func rename(_ old: String, to new: String) throws(SystemError) {
    guard Glibc.rename(old, new) == 0 else { throw SystemError("rename", old) }
  }

  package static func remove(_ path: String) throws(SystemError) {
    guard unlink(path) == 0 else { throw SystemError("unlink", path) }
  }

  package static func removeDirectory(_ path: String) throws(SystemError) {
    guard rmdir(path) == 0 else { throw SystemError("rmdir", path) }
  }

  /// Makes names that were made, changed or removed in a directory durable.
  package static func synchronizeDirectory(_ path: String) throws(SystemError) {
    let directory = try File(path, .directory)
    guard fsync(directory.descriptor) == 0 else { throw SystemError("fsync", path) }
  }

  /// All of a small file; one over `limit` bytes is refused (EFBIG).
  package static func read(_ path: String, limit: Int = 16 << 20) throws(SystemError) -> [UInt8] {
    let file = try File(path, .read)
    let size = try file.size()
    guard size <= UInt64(limit) else { throw SystemError("read", path, code: EFBIG) }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    var failure: SystemError?
    var count = 0
    bytes.withUnsafeMutableBytes { buffer in
      do throws(SystemError) { count = try file.read(into: buffer, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  /// Writes a small file so that after a crash the old or the new content is there, whole: a temporary file, fdatasync,
  /// rename, fsync of the directory.
  package static func replace(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) throws(SystemError) {
    let temporary = path + ".new"
    do {
      let file = try File(temporary, [.write, .create, .truncate], mode: mode)
      var failure: SystemError?
      bytes.withUnsafeBytes { buffer in
        do throws(SystemError) { try file.write(buffer, at: 0) } catch { failure = error }
      }
      if let failure { throw failure }
      try file.synchronize()
    }
    try rename(temporary, to: path)
    try synchronizeDirectory(parent(of: path))
  }

  package static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
