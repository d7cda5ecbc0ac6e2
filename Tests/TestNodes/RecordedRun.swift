import Node
import Primitives

/// What a node did from its first start on, write by write, with all that it acknowledged.
package struct RecordedRun {
  package struct Put {
    package let key: Int
    package let value: String
    /// Operations that were completed when it was asked for, and when it was acknowledged.
    package let asked: Int
    package let acknowledged: Int
  }

  package static let keys = 9
  package private(set) var operations: [DiskOperation] = []
  package private(set) var puts: [Put] = []
  package private(set) var end = SoloNode.fresh
  package private(set) var checkpoints: UInt64 = 0
  /// The table is there when so many operations are completed.
  package private(set) var tableAt = 0

  /// Three starts: the first ends well, the second without a word, the third as `isClosed` says. A checkpoint begins with the
  /// log's 18th block or so: with few puts the last start leaves all of them to the log.
  package init(putsPerStart: Int, last: Int? = nil, isClosed: Bool = true) throws {
    let disk = ImageDisk(end)
    for start in 0..<3 {
      let node = try SoloNode(disk, boots: disk.image.boots, disk: disk)
      try require(node.lead())
      if start == 0 {
        try require(node.ask(.createTable(body: Array(RecordedRun.table.utf8)))?.status == 201)
        tableAt = disk.operations.count
      }
      for _ in 0..<(start == 2 ? last ?? putsPerStart : putsPerStart) { try put(node, disk) }
      checkpoints += node.checkpoints
      if start == 0 || (start == 2 && isClosed) { try require(node.close()) }
    }
    operations = disk.operations
    end = disk.image
  }

  private static let table =
    #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"}],"primary_key":["k"]}"#

  private mutating func put(_ node: SoloNode, _ disk: ImageDisk) throws {
    let number = puts.count
    let key = number * 7 % RecordedRun.keys
    // One of some is so long that it stands in pages of its own.
    let value =
      "\(number)-" + String(repeating: "v", count: number % 10 == 3 ? 5_000 : 40 + number % 50)
    let asked = disk.operations.count
    let status = node.ask(
      .put(RecordedRun.path(key), body: Array("{\"v\":\"\(value)\"}".utf8), .none))?.status
    try require(status == 200 || status == 201)
    puts.append(Put(key: key, value: value, asked: asked, acknowledged: disk.operations.count))
    // Now and then it is idle: the log is sealed, and a checkpoint gets on.
    node.pass(.milliseconds(number % 4 == 0 ? 120 : 3))
  }

  package static func path(_ key: Int) -> RowPath { RowPath(table: "t", key: Array("k\(key)".utf8)) }

  /// The values by key when the first `count` puts are done.
  package func state(after count: Int) -> [String?] {
    var state = [String?](repeating: nil, count: RecordedRun.keys)
    for put in puts[..<count] { state[put.key] = put.value }
    return state
  }
}

/// A run that should have gone well did not.
package struct RunFailed: Error {}

private func require(_ condition: Bool) throws(RunFailed) {
  guard condition else { throw RunFailed() }
}

/// How a start on files went.
package enum Outcome: Equatable {
  /// It was refused, or the node stopped before it answered all; why.
  case refused(String)
  case rows([String?])
  /// Neither an answer nor a reason.
  case silent

  /// Starts a node and reads all rows.
  package init(
    _ files: any LaneFiles, boots: [UInt8]?, disk: ImageDisk? = nil,
    then: (SoloNode) -> Void = { _ in }
  ) {
    let node: SoloNode
    do throws(SoloRefusal) { node = try SoloNode(files, boots: boots, disk: disk) } catch {
      self = .refused(error.description)
      return
    }
    guard node.lead() else {
      self = node.failure.map { .refused($0) } ?? .silent
      return
    }
    var rows: [String?] = []
    for key in 0..<RecordedRun.keys {
      guard let reply = node.ask(.get(RecordedRun.path(key), columns: nil)), node.failure == nil
      else {
        self = node.failure.map { .refused($0) } ?? .silent
        return
      }
      let text = String(decoding: reply.body, as: UTF8.self)
      let value = text.range("\"v\":\"", "\"")
      rows.append(
        reply.status == 200 ? value ?? "?\(text)" : reply.status == 404 ? nil : "?\(reply.status)")
    }
    self = .rows(rows)
    then(node)
  }
}

extension String {
  /// What stands between two others.
  fileprivate func range(_ before: String, _ after: String) -> String? {
    guard let start = firstRange(of: before) else { return nil }
    guard let end = self[start.upperBound...].firstRange(of: after) else { return nil }
    return String(self[start.upperBound..<end.lowerBound])
  }
}
