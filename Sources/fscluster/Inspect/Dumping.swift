import Journal
import Node
import Primitives
import Raft
import Store
import Tables

/// What `dump` printed.
struct DumpResult {
  var epoch: UInt64
  var rows = 0
  /// Places whose rows, if there were any, are not among them.
  var damage: [String] = []
  /// Where the log goes on.
  var behind: [String] = []
}

extension StoppedData {
  /// Hands out the rows of the newest checkpoint, some lines at a time.
  func dump(
    table: String?, to write: ([UInt8]) throws(CommandError) -> Void
  ) throws(CommandError) -> DumpResult {
    let superblock = try newestSuperblock()
    var printer = RowLines(only: table)
    var failure: CommandError?
    var source = StoppedPages(data: self)
    let report = verifyStore(&source, superblock) { _, key, value in
      guard failure == nil else { return }
      value.withUnsafeBytes { printer.take(key, $0) }
      guard printer.lines.count >= 1 << 20 else { return }
      do throws(CommandError) { try write(printer.takeLines()) } catch { failure = error }
    }
    if let failure { throw failure }
    try write(printer.takeLines())
    var result = DumpResult(epoch: superblock.epoch.rawValue, rows: printer.rows)
    result.damage = report.findings.map { "lane-0/pages: \($0)" } + printer.wrong
    if result.damage.isEmpty, let table, !printer.isFound {
      throw .usage("there is no table `\(table)` in this checkpoint", next: "Without --table all tables are printed.")
    }
    result.behind = logBehind(report, superblock.identity)
    return result
  }

  private func newestSuperblock() throws(CommandError) -> Superblock {
    var newest: Superblock?
    var problems: [String] = []
    for slot in 0..<2 {
      do throws(SuperblockProblem) {
        let found = try superblock(slot)
        if found.epoch >= newest?.epoch ?? Epoch(0) { newest = found }
      } catch {
        if case .version(let version) = error {
          throw .usage("\(path)/lane-0/pages has format version \(version)", next: "Use the program that wrote it.")
        }
        problems.append(error.message)
      }
    }
    guard let newest else {
      throw .usage("\(path)/lane-0/pages is not read: \(problems.joined(separator: "; "))")
    }
    for problem in problems { Console.note("one superblock is damaged (\(problem)); the other one is used") }
    return newest
  }

  /// How far the log goes on behind the checkpoint. A log that cannot be read is for `verify` to tell.
  private func logBehind(_ report: VerifyReport, _ identity: StoreIdentity) -> [String] {
    var checkpoints: [ShardCheckpoint] = []
    for shard in report.shards {
      guard let record = try? ReplicaRecord(decoding: shard.metadata) else { continue }
      checkpoints.append(
        ShardCheckpoint(shard: shard.shard, appliedIndex: record.appliedIndex, hardState: record.hardState))
    }
    let journal = JournalIdentity(directory: identity.directory, lane: identity.lane, boot: .max)
    do throws(JournalRefusal) {
      let recovered = try recoverJournal(self, identity: journal, checkpoints: checkpoints, entriesBytesMax: 0)
      return checkpoints.compactMap { checkpoint in
        guard let last = recovered.shards.first(where: { $0.shard == checkpoint.shard })?.lastIndex,
          last > checkpoint.appliedIndex
        else { return nil }
        return "the log goes on with entries \(checkpoint.appliedIndex.next) to \(last), which are not printed"
      }
    } catch { return ["the log behind it is damaged: \(error.text)"] }
  }
}

/// Turns entries of the tree into lines.
private struct RowLines {
  private let only: String?
  private var audit = StateAudit()
  private(set) var lines: [UInt8] = []
  private(set) var rows = 0
  private(set) var wrong: [String] = []

  init(only: String?) { self.only = only }

  /// The table that was asked for is there.
  var isFound: Bool { only.map { audit.catalog.table(named: $0) != nil } ?? true }

  mutating func take(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    switch audit.take(key: key, value: value) {
    case .row(let id):
      guard let table = audit.catalog.table(id), only.map({ $0 == table.name }) ?? !id.isSystem else { return }
      append(table, key, value)
    case .leftover, .history: break
    case .wrong(let text): if wrong.count < 1000 { wrong.append("lane-0/pages: \(text)") }
    }
  }

  private mutating func append(_ table: Table, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    if only == nil { lines += Array("{\"table\":\"\(table.name)\",\"row\":".utf8) }
    audit.appendJSON(table, key: key, value: value, to: &lines)
    if only == nil { lines.append(UInt8(ascii: "}")) }
    lines.append(0x0A)
    rows += 1
  }

  mutating func takeLines() -> [UInt8] {
    defer { lines.removeAll(keepingCapacity: true) }
    return lines
  }
}
