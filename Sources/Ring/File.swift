import CLinux
import Glibc

/// An open file with one owner, closed by `deinit`. The calls here block: they are for start-up, tools and tests. In a turn
/// of the loop, use the ring on `descriptor`.
package struct File: ~Copyable, Sendable {
  package let descriptor: Int32
  package let path: String

  package struct Options: OptionSet, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }
    package static let read = Options([])
    package static let write = Options(rawValue: 1)
    /// Made when it does not exist, mode 0600.
    package static let create = Options(rawValue: 2)
    /// Must not exist.
    package static let exclusive = Options(rawValue: 4)
    /// O_DIRECT: past the page cache; buffers, counts and offsets are aligned.
    package static let direct = Options(rawValue: 8)
    /// O_DSYNC: a write completes when it is durable.
    package static let durable = Options(rawValue: 16)
    package static let truncate = Options(rawValue: 32)
    package static let append = Options(rawValue: 64)
    package static let directory = Options(rawValue: 128)

    var flags: Int32 {
      var flags = O_CLOEXEC | (contains(.write) || contains(.append) ? O_RDWR : O_RDONLY)
      if contains(.create) { flags |= O_CREAT }
      if contains(.exclusive) { flags |= O_EXCL }
      if contains(.direct) { flags |= 0o40000 }  // O_DIRECT
      if contains(.durable) { flags |= O_DSYNC }
      if contains(.truncate) { flags |= O_TRUNC }
      if contains(.append) { flags |= O_APPEND }
      if contains(.directory) { flags |= O_DIRECTORY }
      return flags
    }
  }

  package init(_ path: String, _ options: Options, mode: UInt32 = 0o600) throws(SystemError) {
    let opened = fs_open(path, options.flags, mode)
    guard opened >= 0 else { throw SystemError("open", path) }
    self.path = path
    descriptor = opened
  }

  deinit { Glibc.close(descriptor) }

  /// Bytes.
  package func size() throws(SystemError) -> UInt64 {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw SystemError("fstat", path) }
    return UInt64(status.st_size)
  }

  /// Reserves disk space for the first `size` bytes; the file is at least so large afterwards and reads as zeros there.
  package func preallocate(_ size: UInt64) throws(SystemError) {
    let code = posix_fallocate(descriptor, 0, off_t(size))
    guard code == 0 else { throw SystemError("fallocate", path, code: code) }
  }

  package func resize(_ size: UInt64) throws(SystemError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw SystemError("ftruncate", path) }
  }

  /// Writes zeros over a range, so that later writes change no metadata (a reserved extent is converted at its first write).
  /// Offset and count are multiples of 4096.
  package func zeroFill(from offset: UInt64, count: UInt64) throws(SystemError) {
    let chunk = AlignedBuffer(count: 1 << 20)
    var done: UInt64 = 0
    while done < count {
      let part = Int(min(count - done, UInt64(chunk.bytes.count)))
      try write(UnsafeRawBufferPointer(rebasing: chunk.readOnly[..<part]), at: offset + done)
      done += UInt64(part)
    }
  }

  /// Fills the buffer from `offset`; returns the count, which is smaller only at the file's end.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int {
    var done = 0
    while done < buffer.count {
      guard let base = buffer.baseAddress else { break }
      let got = pread(descriptor, base + done, buffer.count - done, off_t(offset) + off_t(done))
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw SystemError("read", path) }
      if got == 0 { break }
      done += got
    }
    return done
  }

  package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) {
    var done = 0
    while done < bytes.count, let base = bytes.baseAddress {
      let put = pwrite(descriptor, base + done, bytes.count - done, off_t(offset) + off_t(done))
      if put < 0, errno == EINTR { continue }
      guard put > 0 else { throw SystemError("write", path, code: put == 0 ? ENOSPC : errno) }
      done += put
    }
  }

  /// fdatasync.
  package func synchronize() throws(SystemError) {
    guard fdatasync(descriptor) == 0 else { throw SystemError("fdatasync", path) }
  }

  /// Takes the whole file for this process until it is closed; `isInUse` when another has it. Ends with the process, however
  /// it ends. (An open file description lock: a second `File` in this process is refused too.)
  package func lock() throws(SystemError) {
    guard fs_lock_whole(descriptor) == 0 else { throw SystemError("lock", path) }
  }

  /// What O_DIRECT asks of buffers and offsets, in bytes; 4096 covers what the kernel does not tell.
  package func directAlignment() throws(SystemError) -> (memory: Int, offset: Int) {
    var memory: UInt32 = 0
    var offset: UInt32 = 0
    guard fs_direct_alignment(descriptor, &memory, &offset) == 0 else { throw SystemError("statx", path) }
    return (memory: memory == 0 ? 4096 : Int(memory), offset: offset == 0 ? 4096 : Int(offset))
  }
}
