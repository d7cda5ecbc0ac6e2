import FileStoreClient
import Foundation
import Ring
import Sealing
import TestNodes
import Testing

@testable import Server

/// One node whose data is encrypted, with real files.
@Suite(.serialized) struct EncryptionTests {
  private let cluster: TestCluster
  private let keyFile: String

  init() throws {
    cluster = try TestCluster(nodes: 1)
    keyFile = cluster.path(1, "master.key")
    try write(keys: line(1))
  }

  // MARK: Keys

  private func line(_ byte: UInt8) -> String { String(repeating: byte < 16 ? "0\(byte)" : "\(byte)", count: 32) + "\n" }

  private func write(keys: String, mode: UInt32 = 0o600) throws {
    if FileSystem.exists(keyFile) { try FileSystem.remove(keyFile) }
    try FileSystem.replace(keyFile, with: Array(keys.utf8), mode: mode)
    chmod(keyFile, mode)
  }

  private var encrypted: [(Setting, String)] { [(.encryptionKeyFile, keyFile), (.memory, "64MiB")] }

  private func table(_ data: String) throws -> KeyTable {
    try KeyTable(decoding: FileSystem.read(cluster.path(1, data + "/keys")))
  }

  // MARK: Rows

  private func ready() throws -> TestClient {
    let client = try cluster.client()
    try #require(client.waitUntilReady(1), "\(cluster.node(1).lines)")
    return client
  }

  private func makeTable(_ client: TestClient) throws {
    let table =
      #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"}],"primary_key":["k"]}"#
    try #require(try client.ask(.post, "/v1/tables", table).status == 201)
  }

  private func put(_ client: TestClient, _ key: String, _ value: String) throws {
    let status = try client.ask(.put, "/v1/tables/t/rows/\(key)", #"{"v":""# + value + #""}"#).status
    try #require(status == 201 || status == 200)
  }

  private func expect(_ client: TestClient, _ key: String, _ value: String) throws {
    let answer = try client.ask(.get, "/v1/tables/t/rows/\(key)")
    #expect(answer.status == 200 && answer.text.contains(value), "\(key): \(answer.text.prefix(200))")
  }

  /// Large rows until so many checkpoints are durable.
  private func fill(_ client: TestClient, checkpoints: Double, value: String) throws {
    let row = String(String(repeating: value, count: 900_000 / value.utf8.count + 1).prefix(900_000))
    for number in 0..<150 {
      if try client.metric("filestore_checkpoints_total") ?? 0 >= checkpoints { return }
      try put(client, "large\(number)", row)
    }
    try #require(waitUntil { try client.metric("filestore_checkpoints_total") ?? 0 >= checkpoints })
  }

  private func stop() { #expect(cluster.node(1).stop() == .success(0)) }

  private func refusal() -> String {
    guard case .failure(let refusal)? = cluster.node(1).waitForEnd() else {
      Issue.record("it is refused: \(cluster.node(1).lines)")
      return ""
    }
    return refusal.description
  }

  // MARK: What stands on disk

  private func files(_ data: String) throws -> [String: Data] {
    var found: [String: Data] = [:]
    let path = cluster.path(1, data)
    for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
      found[name] = try? Data(contentsOf: URL(fileURLWithPath: path + "/" + name), options: .alwaysMapped)
    }
    return found
  }

  /// The files that hold `text`.
  private func holders(of text: String, in files: [String: Data]) -> [String] {
    files.filter { $0.value.range(of: Data(text.utf8)) != nil }.map(\.key).sorted()
  }

  /// Keys and values of rows, short and long, in log and pages. Without encryption they are found in both, so the search
  /// finds what there is.
  @Test(arguments: [false, true]) func noRowTextStandsInTheDataDirectory(isEncrypted: Bool) throws {
    defer { cluster.destroy() }
    try cluster.start(1, changes: isEncrypted ? encrypted : [(.memory, "64MiB")])
    let client = try ready()
    try makeTable(client)
    let words = ["zanzibarkey", "quixoticvalue", "flabbergasting"]
    for number in 0..<50 { try put(client, "\(words[0])\(number)", "\(words[1])-\(number)") }
    try fill(client, checkpoints: 1, value: words[2])
    stop()
    let files = try files("data")
    #expect(files.count >= 4)
    for word in words {
      let found = holders(of: word, in: files)
      if isEncrypted {
        #expect(found == [], "\(word)")
      } else {
        #expect(found.contains("lane-0/pages") && found.contains { $0.hasSuffix(".log") }, "\(word): \(found)")
      }
    }
    #expect(FileSystem.exists(cluster.path(1, "data/keys")) == isEncrypted)
    if isEncrypted { #expect(try FileSystem.mode(cluster.path(1, "data/keys")) == 0o600) }
  }

  /// Pages and log blocks come back after a restart, also those of a start before.
  @Test func encryptedDataIsReadAgain() throws {
    defer { cluster.destroy() }
    try cluster.start(1, changes: encrypted)
    var client = try ready()
    try makeTable(client)
    try put(client, "first", "one")
    try fill(client, checkpoints: 1, value: "text")
    try put(client, "second", "two")
    stop()
    for round in 0..<2 {
      try cluster.startAgain(1, changes: encrypted)
      client = try ready()
      for (key, value) in [("first", "one"), ("second", "two"), ("large0", "texttext")] {
        try expect(client, key, value)
      }
      try put(client, "round\(round)", "again")
      stop()
    }
    #expect(try table("data").keys == table("data++").keys, "the keys stay")
  }

  /// Nothing is touched by a start without the key.
  @Test func withoutItsKeyADirectoryIsRefusedAndStaysAsItIs() throws {
    defer { cluster.destroy() }
    try cluster.start(1, changes: encrypted)
    let client = try ready()
    try makeTable(client)
    try put(client, "first", "one")
    stop()
    try FileManager.default.copyItem(atPath: cluster.path(1, "data"), toPath: cluster.path(1, "other"))
    let before = try files("other")
    let changes: [(Setting, String)] = [(.data, cluster.path(1, "other"))]
    func check(_ words: [String], _ settings: [(Setting, String)]) throws {
      try cluster.start(1, changes: changes + settings)
      let text = refusal()
      for word in words { #expect(text.contains(word), "\(text)") }
      #expect(try Boot.checkRefusal(cluster.configuration(1, changes + settings)) == text)
      #expect(try files("other") == before)
    }
    try check(["it is encrypted", "encryption-key-file"], [])
    let key = try #require(table("other").keys.first)
    try write(keys: line(2))
    try check(["data key \(keyName(key.id))", "master key \(keyName(key.master))", keyFile], encrypted)
    try write(keys: "abc\n")
    try check(["line 1", "64 hexadecimal digits", "openssl rand -hex 32"], encrypted)
    try write(keys: line(1), mode: 0o644)
    try check(["can be read by others (mode 644)", "chmod 600"], encrypted)
    try FileSystem.remove(keyFile)
    try check(["there is no file \(keyFile)"], encrypted)
    try write(keys: line(1))
    // A file of keys that belongs to another directory, then a damaged one.
    var bytes = try FileSystem.read(cluster.path(1, "other/keys"))
    bytes[60] ^= 1
    try FileSystem.replace(cluster.path(1, "other/keys"), with: bytes)
    try cluster.start(1, changes: changes + encrypted)
    #expect(refusal().contains("keys cannot be read: its checksum does not match"))
    // Gone altogether: with the setting and without it.
    try FileSystem.remove(cluster.path(1, "other/keys"))
    for settings in [encrypted, []] {
      try cluster.start(1, changes: changes + settings)
      let text = refusal()
      #expect(text.contains("data key \(keyName(key.id))") && text.contains("restore"), "\(text)")
      #expect(!FileSystem.exists(cluster.path(1, "other/keys")), "no other keys take the place of the lost ones")
    }
  }

  /// A directory that was plain, from some start on encrypted, with other keys while it was written to, and plain again.
  @Test func encryptionIsSwitchedOnTurnedOverAndOffAgain() throws {
    defer { cluster.destroy() }
    try cluster.start(1, changes: [(.memory, "64MiB")])
    var client = try ready()
    try makeTable(client)
    try put(client, "plain", "zero")
    try fill(client, checkpoints: 1, value: "oldtext")
    stop()

    try cluster.startAgain(1, changes: encrypted)
    client = try ready()
    try expect(client, "plain", "zero")
    try expect(client, "large0", "oldtext")
    let first = try table("data+")
    #expect(first.keys.count == 1 && first.plainEpoch < 100 && first.plainSequence > 50)
    try write(keys: line(2) + line(1))
    for number in 0..<300 {
      if number % 100 == 50 { cluster.node(1).signal(SIGHUP) }
      try put(client, "turned\(number)", "secretword\(number)")
    }
    try #require(waitUntil { try table("data+").keys.count == 4 }, "\(cluster.node(1).lines)")
    try fill(client, checkpoints: 1, value: "secretword")
    for number in stride(from: 0, to: 300, by: 7) { try expect(client, "turned\(number)", "secretword\(number)") }
    stop()
    let turned = try table("data+")
    #expect(turned.keys.first?.id == first.keys.first?.id)
    #expect(Set(turned.keys.map(\.master)).count == 1 && turned.keys.first?.master != first.keys.first?.master)
    #expect(holders(of: "secretword", in: try files("data+")) == [])

    // The old master key is needed no more.
    try write(keys: line(2))
    try cluster.startAgain(1, changes: encrypted)
    client = try ready()
    for number in stride(from: 0, to: 300, by: 7) { try expect(client, "turned\(number)", "secretword\(number)") }
    try expect(client, "plain", "zero")
    stop()

    try write(keys: "plain\n" + line(2))
    try cluster.startAgain(1, changes: encrypted)
    client = try ready()
    try expect(client, "turned7", "secretword7")
    try put(client, "open", "legibleagain")
    stop()
    #expect(holders(of: "legibleagain", in: try files("data+++")).contains { $0.hasSuffix(".log") })
    #expect(try table("data+++").isPlain)
  }

  /// Several writers, checkpoints on their way, and new keys again and again: every acknowledged row is there afterwards, also
  /// for a node that starts anew, and some pages and blocks stand under each of the keys.
  @Test func keysRotateUnderLoad() throws {
    defer { cluster.destroy() }
    try cluster.start(1, changes: encrypted)
    let client = try ready()
    try makeTable(client)
    let acknowledged = Locked<[String]>([])
    let failures = Locked<[String]>([])
    let isOver = Locked(0)
    let (box, writers) = (ClusterBox(cluster: cluster), 4)
    for writer in 0..<writers {
      let thread = Thread {
        defer { isOver.withLock { $0 += 1 } }
        // A client belongs to its thread.
        guard let client = try? box.cluster.client() else { return }
        for number in 0..<(writer == 0 ? 40 : 400) {
          let (key, word) = ("w\(writer)-\(number)", "loadedword\(writer)-\(number) ")
          let value = writer == 0 ? String(repeating: word, count: 900_000 / word.utf8.count) : word
          do throws(ClientError) {
            let status = try client.ask(.put, "/v1/tables/t/rows/\(key)", #"{"v":""# + value + #""}"#).status
            if status == 201 { acknowledged.withLock { $0.append(key) } }
          } catch { failures.withLock { $0.append("\(key): \(error)") } }
        }
      }
      thread.start()
    }
    var rotations = 0
    while isOver.withLock({ $0 }) < writers, rotations < 200 {
      try write(keys: rotations % 2 == 0 ? line(2) + line(1) : line(1) + line(2))
      cluster.node(1).signal(SIGHUP)
      rotations += 1
      try #require(waitUntil { try table("data").keys.count == rotations + 1 }, "\(cluster.node(1).lines)")
      usleep(100_000)
    }
    #expect(waitUntil { isOver.withLock { $0 } == writers })
    try fill(client, checkpoints: 1, value: "text")
    #expect(failures.withLock { $0 } == [])
    let rows = acknowledged.withLock { $0 }
    #expect(rows.count == 40 + 3 * 400 && rotations >= 3, "\(rows.count) rows, \(rotations) rotations")
    stop()
    try cluster.startAgain(1, changes: encrypted)
    let again = try ready()
    for key in rows { try expect(again, key, "loadedword\(key.dropFirst()) ") }
    stop()
    #expect(holders(of: "loadedword", in: try files("data+")) == [])
    let keys = try Set(places("data+").keys.map(\.keyID))
    #expect(keys.count > 2, "\(keys)")
  }

  @Test func aRotationThatCannotBeDoneChangesNothing() throws {
    defer { cluster.destroy() }
    try cluster.start(1, changes: encrypted)
    let client = try ready()
    let before = try table("data")
    try write(keys: "abc\n")
    cluster.node(1).signal(SIGHUP)
    try #require(waitUntil { cluster.node(1).lines.contains("keys were not rotated") }, "\(cluster.node(1).lines)")
    #expect(cluster.node(1).lines.contains("64 hexadecimal digits"))
    try makeTable(client)
    #expect(try table("data") == before)
    stop()
  }

  @Test func theSignalEndsNothingWhereNothingIsEncrypted() throws {
    defer { cluster.destroy() }
    try cluster.start(1)
    let client = try ready()
    cluster.node(1).signal(SIGHUP)
    try #require(waitUntil { cluster.node(1).lines.contains("nothing is encrypted") })
    #expect(client.waitUntilReady(1))
    stop()
  }

  // MARK: Key streams

  /// Only asked for clients.
  private struct ClusterBox: @unchecked Sendable { let cluster: TestCluster }

  /// What an encrypted page or block stands under.
  private struct Place: Hashable {
    let keyID: Data
    let startNonce: Data
    /// From the header: page id and epoch, or sequence.
    let nonce: Data
    let isPage: Bool
  }

  private func places(_ data: String) throws -> [Place: Data] {
    var found: [Place: Data] = [:]
    for (name, bytes) in try files(data) where name.hasSuffix("pages") || name.hasSuffix(".log") {
      let isPage = name.hasSuffix("pages")
      var offset = isPage ? 2 * 16_384 : 0
      while offset + 4096 <= bytes.count {
        let isBlock = !isPage && bytes[offset..<offset + 4].elementsEqual("FSJB".utf8)
        var count = isPage ? 16_384 : 4096
        if isBlock {
          let length = bytes[(offset + 12)..<(offset + 16)].reversed().reduce(0) { $0 << 8 | Int($1) }
          count = max(4096, min(length, 256 << 10))
        }
        let piece = bytes[offset..<min(offset + count, bytes.count)]
        let keyID = piece.dropFirst(isPage ? 28 : 96).prefix(4)
        if isPage || isBlock, keyID.contains(where: { $0 != 0 }) {
          let place = Place(
            keyID: Data(keyID), startNonce: Data(piece.suffix(32).prefix(16)),
            nonce: Data(piece.dropFirst(isPage ? 4 : 48).prefix(12)), isPage: isPage)
          found[place] = Data(piece.dropFirst(isPage ? 32 : 104).dropLast(32))
        }
        offset += count
      }
    }
    return found
  }

  /// Two that go on from one directory write other streams for the same pages and sequences.
  @Test func aCloneHasKeyStreamsOfItsOwn() throws {
    defer { cluster.destroy() }
    try cluster.start(1, changes: encrypted)
    var client = try ready()
    try makeTable(client)
    try put(client, "common", "past")
    stop()
    var found: [[Place: Data]] = [try places("data")]
    for clone in ["one", "two"] {
      try FileManager.default.copyItem(atPath: cluster.path(1, "data"), toPath: cluster.path(1, clone))
      try cluster.start(1, changes: encrypted + [(.data, cluster.path(1, clone))])
      client = try ready()
      try expect(client, "common", "past")
      try fill(client, checkpoints: 1, value: clone)
      stop()
      found.append(try places(clone))
    }
    let (common, one, two) = (found[0], found[1], found[2])
    #expect(common.count > 2 && one.count > 100 && two.count > 100)
    #expect(one.keys.contains { $0.isPage } && one.keys.contains { !$0.isPage })
    for (place, content) in one {
      if let other = two[place] { #expect(other == content && common[place] == content) }
    }
    let nonces = Set(one.keys.map(\.nonce)).intersection(two.keys.map(\.nonce))
    #expect(nonces.count > 50, "they did write the same places")
  }
}
