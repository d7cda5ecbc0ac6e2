import Ring

/// A directory of its own for one test, in the working directory's file system: /tmp may be a tmpfs, which knows no O_DIRECT.
struct TemporaryDirectory: ~Copyable {
  let path: String

  init() throws {
    path = "/var/tmp/filestore-ring-\(String(UInt64.random(in: 0 ... .max), radix: 16))"
    try FileSystem.makeDirectory(path)
  }

  deinit {
    for name in (try? FileSystem.list(path)) ?? [] { try? FileSystem.remove(path + "/" + name) }
    try? FileSystem.removeDirectory(path)
  }
}
