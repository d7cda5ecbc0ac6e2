import Foundation
import Journal
import Node
import Primitives
import Ring
import Store
import TestNodes
import TestScale
import Testing

@testable import Server

/// The same as in memory on real files, opened as `filestored` opens them; and directories that are none of ours, or not whole.
@Suite(.serialized) struct RealFilesTests {
  private func withDirectory(_ image: DirectoryImage, _ body: (_ data: String) throws -> Void) throws {
    let parent = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: parent) }
    try image.write(to: parent + "/data")
    try body(parent + "/data")
  }

  /// How a start goes. What the node writes is lost: the files stay as they are.
  private func outcome(_ data: String) -> Outcome {
    do throws(StartRefusal) {
      let directory = try DataDirectory(path: data)
      let found = try directory.checkIdentity(
        cluster: SoloNode.identity.cluster, clusterID: "00", node: SoloNode.identity.node)
      _ = try directory.take(found)
      return Outcome(directory, boots: FileManager.default.contents(atPath: data + "/boots").map { Array($0) })
    } catch { return .refused(error.description) }
  }

  private func contents(_ data: String) throws -> [String: Data] {
    var found: [String: Data] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: data) {
      found[name] = FileManager.default.contents(atPath: data + "/" + name)
    }
    return found
  }

  private func patch(_ file: String, _ offset: Int, _ bytes: [UInt8]) throws {
    let open = try File(file, .write)
    bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { try open.write(buffer, at: UInt64(offset)) } catch { Issue.record("\(error)") }
    }
  }

  // MARK: Bytes and crashes

  @Test func aChangedByteInAnyFileGivesARefusalOrTheRightRows() throws {
    let run = try RecordedRun(putsPerStart: 16, last: 10)
    let right = Outcome.rows(run.state(after: run.puts.count))
    try withDirectory(run.end) { data in
      #expect(outcome(data) == right)
      var refused = 0
      for name in try contents(data).keys.sorted() where !FileSystem.isDirectory(data + "/" + name) {
        let bytes = try FileSystem.read(data + "/" + name)
        // Where something stands; of the rest a little.
        for offset in bytes.indices where offset % (bytes[offset] == 0 ? 40_009 : name == "boots" ? 1 : 907) == 0 {
          try patch(data + "/" + name, offset, [bytes[offset] ^ 0x11])
          let outcome = outcome(data)
          if case .refused(let reason) = outcome, !reason.isEmpty { refused += 1 } else { #expect(outcome == right) }
          #expect(outcome != .silent, "\(name) at \(offset)")
          try patch(data + "/" + name, offset, [bytes[offset]])
        }
      }
      #expect(refused > 30)
      #expect(outcome(data) == right)
    }
  }

  @Test func whereverThePowerFailsNothingAcknowledgedIsMissing() throws {
    let run = try RecordedRun(putsPerStart: 18, isClosed: false)
    let ways: [(Tearing, Tearing)] = [(.everything, .firstHalf), (.nothing, .lastHalf), (.random(5), .random(6))]
    for count in stride(from: 0, to: run.operations.count, by: scaled(20, long: 5)) {
      let (unsynced, last) = ways[count / scaled(20, long: 5) % ways.count]
      let image = DirectoryImage.afterCrash(
        from: SoloNode.fresh, run.operations, at: count, unsynced: unsynced, last: last)
      try withDirectory(image) { data in
        guard case .rows(let rows) = outcome(data) else {
          Issue.record("operation \(count): \(outcome(data))")
          return
        }
        guard count >= run.tableAt else { return }
        let least = run.puts.count { $0.acknowledged <= count }
        let most = run.puts.count { $0.asked <= count }
        #expect((least...most).contains { run.state(after: $0) == rows }, "operation \(count)")
      }
    }
  }

  // MARK: Bad directories

  private func use(_ segment: [UInt8]) -> UInt64 { segment[40..<48].reversed().reduce(0) { $0 << 8 | UInt64($1) } }

  /// Refused with these words, and nothing is changed.
  private func expectRefusal(
    _ words: String, _ image: DirectoryImage, _ change: (_ data: String) throws -> Void
  ) throws {
    try withDirectory(image) { data in
      try change(data)
      let before = try contents(data)
      guard case .refused(let reason) = outcome(data) else {
        Issue.record("it is refused: \(words)")
        return
      }
      #expect(reason.contains(words), "\(reason)")
      #expect(try contents(data) == before, "nothing was changed")
    }
  }

  @Test func aPageFileThatIsCutForeignOrOfAnotherVersionIsRefused() throws {
    let image = try RecordedRun(putsPerStart: 16, last: 10).end
    let pages = "/lane-0/pages"
    try expectRefusal("it holds no page file", image) { try File($0 + pages, .write).resize(0) }
    try expectRefusal("the file has 20000 bytes of 32768", image) { try File($0 + pages, .write).resize(20_000) }
    try expectRefusal("bytes of", image) { try File($0 + pages, .write).resize(5 * 16_384) }
    try expectRefusal("this is no FileStore page file", image) { data in
      for slot in 0..<2 { try patch(data + pages, slot * Store.pageBytes, Array("SQLite f".utf8)) }
    }
    try expectRefusal("format version 9; this program reads version 2", image) { data in
      var block = Array(image.pages[..<Store.pageBytes])
      block[8] = 9
      block.replaceSubrange(12..<16, with: [0, 0, 0, 0])
      let sum = crc32c(block)
      try patch(data + pages, 8, [9, 0, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * UInt32($0))) })
    }
    for slot in 0..<2 {
      try expectRefusal(slot == 0 ? "of another directory" : "expected", image) { data in
        let other = StoreIdentity(
          cluster: Array(1...16), node: NodeID(1), lane: LaneID(0), incarnation: Incarnation(0x1234), directory: 0xBAD)
        let (first, second) = Store.format(identity: other)
        try patch(data + pages, slot * Store.pageBytes, slot == 0 ? first : second)
      }
    }
  }

  @Test func aLogOrListOfAnotherVersionOrDirectoryIsRefused() throws {
    let image = try RecordedRun(putsPerStart: 16, last: 10).end
    // The segment in use: of the highest use number.
    let file = try #require(image.segments.max { use($0.value) < use($1.value) }?.key)
    let log = "/lane-0/log/\(LogFiles.name(of: file))"
    func resealed(_ offset: Int, _ change: [UInt8]) throws -> [UInt8] {
      let bytes = try #require(image.segments[file])
      let count = Int(bytes[12]) | Int(bytes[13]) << 8 | Int(bytes[14]) << 16
      var block = Array(bytes[..<count])
      block.replaceSubrange(offset..<offset + change.count, with: change)
      let sum = crc32c(Array(block[8...]))
      block.replaceSubrange(4..<8, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * UInt32($0))) })
      return block
    }
    try expectRefusal("version: 9", image) { try patch($0 + log, 0, try resealed(8, [9, 0])) }
    try expectRefusal("foreign", image) { try patch($0 + log, 0, try resealed(16, [1, 2, 3])) }
    try expectRefusal("bootNotRaised", image) { try patch($0 + log, 0, try resealed(24, [99])) }
    try expectRefusal("the list of starts is damaged", image) { try patch($0 + "/boots", 7, [UInt8(ascii: "1")]) }
    try expectRefusal("the list of starts is of another directory", image) { data in
      var boots = Boots(directory: 5)
      _ = boots.add(nonce: 1)
      try FileSystem.replace(data + "/boots", with: boots.encoded())
    }
  }

  @Test func whatIsMissingOrMayNotBeReadIsNamed() throws {
    let image = try RecordedRun(putsPerStart: 16, last: 10).end
    try expectRefusal("no lane-0/pages", image) { try FileSystem.remove($0 + "/lane-0/pages") }
    try expectRefusal("/lane-0/log", image) { try FileManager.default.removeItem(atPath: $0 + "/lane-0/log") }
    try expectRefusal("bootNotRaised", image) { try FileSystem.remove($0 + "/boots") }
    for file in image.segments.keys {
      try withDirectory(image) { data in
        try FileSystem.remove("\(data)/lane-0/log/\(LogFiles.name(of: file))")
        let before = try contents(data)
        // A segment that was freed long ago may go; all others are missed.
        switch outcome(data) {
        case .refused(let reason): #expect(reason.contains("damage"), "\(reason)")
        case .rows:
          #expect(
            image.segments.values.contains { use($0) > use(image.segments[file] ?? [UInt8](repeating: 0, count: 48)) })
        case .silent: Issue.record("without \(file)")
        }
        #expect(try contents(data) == before)
      }
    }
    for path in ["", "/lane-0", "/lane-0/pages", "/lane-0/log", "/boots", "/LOCK"] {
      try withDirectory(image) { data in
        #expect(chmod(FileSystem.parent(of: data), 0o755) == 0)
        for part in ["", "/lane-0", "/lane-0/log"] { #expect(chmod(data + part, 0o755) == 0) }
        for name in try contents(data).keys where !FileSystem.isDirectory(data + "/" + name) {
          #expect(chmod(data + "/" + name, 0o666) == 0)
        }
        #expect(chmod(data + path, 0) == 0)
        let refused = try asNobody { outcome(data) }
        #expect(chmod(data + path, 0o755) == 0)
        guard case .refused(let reason) = refused else {
          Issue.record("\(path) may not be read: \(refused)")
          return
        }
        #expect(reason.contains(data), "\(path): \(reason)")
      }
    }
  }

  @Test func aDirectoryInUseIsRefusedBeforeItIsRead() throws {
    try withDirectory(try RecordedRun(putsPerStart: 16, last: 10).end) { data in
      let lock = try File(data + "/LOCK", .write)
      try lock.lock()
      #expect(outcome(data) == .refused("data directory \(data): another filestored uses it"))
    }
  }

  /// This thread reads files as somebody without rights for as long as `body` runs. Root may read everything otherwise.
  private func asNobody<T>(_ body: () -> T) throws -> T {
    guard geteuid() == 0 else { return body() }
    let symbol = try #require(dlsym(nil, "setfsuid"))
    let setUser = unsafeBitCast(symbol, to: (@convention(c) (UInt32) -> Int32).self)
    _ = setUser(65_534)
    defer { _ = setUser(0) }
    return body()
  }
}
