import Glibc
import Primitives
import Ring
import Testing

@Suite struct FileTests {
  @Test func aDirectDurableWriteThroughTheRingIsReadBack() throws {
    let directory = try TemporaryDirectory()
    let file = try File(directory.path + "/log", [.write, .create, .exclusive, .direct, .durable])
    let alignment = try file.directAlignment()
    #expect(alignment.memory > 0 && 4096 % alignment.memory == 0 && 4096 % alignment.offset == 0)
    try file.preallocate(1 << 20)
    try file.zeroFill(from: 0, count: 1 << 20)
    #expect(try file.size() == 1 << 20)

    let ring = try Ring(entries: 8)
    let out = AlignedBuffer(count: 8192)
    for i in 0..<8192 { out.bytes[i] = UInt8(truncatingIfNeeded: i &* 7) }
    ring.write(file.descriptor, out.readOnly, at: 65536, token: 1)
    #expect(completion(of: 1, on: ring)?.result == 8192)
    ring.synchronize(file.descriptor, token: 2)
    #expect(completion(of: 2, on: ring)?.result == 0)
    let back = AlignedBuffer(count: 8192)
    ring.read(file.descriptor, into: back.bytes, at: 65536, token: 3)
    #expect(completion(of: 3, on: ring)?.result == 8192)
    #expect(back.bytes.elementsEqual(out.bytes))
    ring.allocate(file.descriptor, from: 1 << 20, count: 1 << 20, token: 4)
    #expect(completion(of: 4, on: ring)?.result == 0)
    #expect(try file.size() == 2 << 20)
  }

  @Test func aLockedFileIsInUseForEverybodyElseUntilItIsClosed() throws {
    let directory = try TemporaryDirectory()
    do {
      let first = try File(directory.path + "/lock", [.write, .create])
      try first.lock()
      let second = try File(directory.path + "/lock", [.write])
      #expect(throws: SystemError.self) { try second.lock() }
      do { try second.lock() } catch { #expect(error.isInUse && error.description.contains("in use")) }
    }
    let third = try File(directory.path + "/lock", [.write])
    try third.lock()
  }

  @Test func aReplacedFileHoldsTheOldOrTheNewContentAndKeepsItsMode() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/state"
    try FileSystem.replace(path, with: Array("one".utf8))
    try FileSystem.replace(path, with: Array("two".utf8))
    #expect(try FileSystem.read(path) == Array("two".utf8))
    #expect(try FileSystem.mode(path) == 0o600)
    #expect(try FileSystem.list(directory.path) == ["state"])
    do { _ = try FileSystem.read(path, limit: 2) } catch { #expect(error.code == EFBIG) }
  }

  @Test func aMissingFileIsToldApart() throws {
    do {
      _ = try File("/var/tmp/filestore-no-such-file", .read)
      Issue.record("opened a file that is not there")
    } catch {
      #expect(error.isMissing)
      #expect(error.description == "/var/tmp/filestore-no-such-file: No such file or directory (open)")
    }
  }

  @Test func addressesAreReadAndWritten() throws {
    #expect(try SocketAddress("127.0.0.1:7101").description == "127.0.0.1:7101")
    #expect(try SocketAddress("[::1]:7101").description == "[::1]:7101")
    #expect(try SocketAddress("127.0.0.1:7101").isLoopback)
    #expect(try !SocketAddress("10.0.0.1:1").isLoopback)
    for bad in ["", "7101", "::1:7101", "localhost:", "localhost:70000", "[::1]"] {
      #expect(throws: SocketAddress.Refusal.self) { try SocketAddress(bad) }
    }
  }

  @Test func aSignalArrivesAsARecordOnADescriptor() throws {
    // Blocked for this thread only; sent to this thread only.
    let signals = try Signals()
    let ring = try Ring(entries: 8)
    let buffer = AlignedBuffer(count: 4096)
    let record = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<Signals.recordBytes])
    ring.read(signals.descriptor, into: record, at: nil, token: 1)
    pthread_kill(pthread_self(), SIGTERM)
    #expect(completion(of: 1, on: ring)?.result == Int32(Signals.recordBytes))
    #expect(Signals.number(in: UnsafeRawBufferPointer(record)) == SIGTERM)
  }

  @Test func theHolderOfAPortIsNamed() throws {
    let port: UInt16
    do {
      let listener = try Listener(SocketAddress("127.0.0.1:0"))
      port = listener.address.port
      #expect(PortHolder.find(port: port)?.process == getpid())
    }
    #expect(PortHolder.find(port: port) == nil)
  }
}
