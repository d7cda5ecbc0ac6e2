import Journal
import Node
import Primitives
import Raft
import Ring
import Server
import Store

/// The data directory of a cluster of one node, as a node leaves it that is killed: a page file with what the last checkpoint holds
/// (without one: that of `fscluster init`), and a log with everything behind it. The journal writes that log to real segments,
/// and its commands are the node's own encoding. It goes when its owner goes.
final class KilledNode {
  static let node = NodeID(1)
  static let cluster = [UInt8](repeating: 1, count: 16)
  static let clusterID = String(repeating: "01", count: 16)
  /// Rows of an entry: what 16 clients with 16 requests each leave in one turn of the loop.
  private static let rowsOfEntry = 256
  /// Entries on their way to the disk.
  private static let entriesWaiting: UInt64 = 4

  private let scratch: Scratch
  let journalSettings: JournalSettings
  /// Rows in the log, and in the checkpoint.
  private(set) var rows = 0
  let storedRows: Int
  private(set) var logBytes: UInt64 = 0
  private(set) var lastIndex = LogIndex.zero

  var path: String { scratch.path + "/data" }

  /// Checkpoints so many rows, then logs `rows`, each with so many bytes of value, until there is none left or the log has
  /// `logBytes`.
  init(
    under parent: String, stored: Int = 0, rows: Rows, valueBytes: Int, logBytes: UInt64
  ) throws(BenchError) {
    scratch = try Scratch(under: parent)
    journalSettings = KilledNode.settings(bytes: max(logBytes, UInt64(stored) << 10))
    storedRows = stored
    let (identity, founders) = try KilledNode.format(scratch.path + "/data")
    let commands = try RowCommands(valueBytes: valueBytes)
    var checkpointed = LogIndex.zero
    if stored > 0 {
      let store = try StoredRows(path: scratch.path + "/data/lane-0/pages", identity)
      checkpointed = try store.fill(stored, commands, founders)
    }
    try log(rows, commands, logBytes: logBytes, founders, after: checkpointed)
  }

  private func log(
    _ rows: Rows, _ commands: RowCommands, logBytes: UInt64, _ founders: Raft.Configuration, after: LogIndex
  ) throws(BenchError) {
    let directory = try DataDirectory.opened(path)
    let identity = JournalIdentity(
      directory: directory.identity.directory, lane: directory.identity.lane, boot: directory.start.boot.number)
    try directory.count()
    let driver = try LogDriver(
      directory: directory.files.logPath, identity: identity, settings: journalSettings, frees: false,
      after: after)
    if let start = driver.openedStart { try directory.files.note(start) }
    if after == .zero { driver.append(founders.encoded(), kind: .configuration) }
    var entry = EntryBuilder()
    if after == .zero { entry.append(commands.createTable) }
    try log(rows, commands, &entry, to: driver, logBytes: logBytes)
    self.logBytes = driver.statistics.bytesWritten
    lastIndex = after + driver.appended
  }

  /// Segments of 64 MiB, as in operation, unless there is less than sixteen times that. The cap lets a hundred starts leave one each.
  private static func settings(bytes: UInt64) -> JournalSettings {
    var settings = JournalSettings()
    settings.segmentBytes = min(max(bytes >> 24, 1), 64) << 20
    settings.logBytesMax = 2 * bytes + 256 * settings.segmentBytes
    settings.reserveBytes = settings.segmentBytes
    return settings
  }

  private static func format(_ path: String) throws(BenchError) -> (StoreIdentity, Raft.Configuration) {
    let identity = StoreIdentity(
      cluster: KilledNode.cluster, node: KilledNode.node, lane: LaneID(0), incarnation: Incarnation(1), directory: 1)
    let founders = Raft.Configuration(voters: [Member(node: KilledNode.node, incarnation: identity.incarnation)])
    try BenchError.system { () throws(SystemError) in
      for part in ["", "/lane-0", "/lane-0/log"] { try FileSystem.makeDirectory(path + part) }
      try FileSystem.replace(path + "/lane-0/pages", with: formatLane(identity: identity, founders: founders))
    }
    return (identity, founders)
  }

  private func log(
    _ all: Rows, _ commands: RowCommands, _ entry: inout EntryBuilder, to driver: LogDriver, logBytes: UInt64
  ) throws(BenchError) {
    while rows < all.count, driver.statistics.bytesWritten < logBytes {
      while rows < all.count, driver.appended - driver.persisted < KilledNode.entriesWaiting {
        try fill(&entry, all, commands)
        driver.append(entry.finish())
      }
      try driver.turn()
    }
    while driver.persisted < driver.appended { try driver.turn() }
  }

  private func fill(_ entry: inout EntryBuilder, _ all: Rows, _ commands: RowCommands) throws(BenchError) {
    while rows < all.count, entry.count < KilledNode.rowsOfEntry {
      let command = try commands.put(all.key(rows))
      guard entry.hasRoom(for: command) else { return }
      entry.append(command)
      rows += 1
    }
  }
}

/// A data directory that is taken for one start: whose it is was checked, it is locked, the start has its number.
struct TakenDirectory {
  let files: DataDirectory
  let identity: StoreIdentity
  let start: NumberedStart

  /// When all was accepted.
  func count() throws(BenchError) {
    do throws(StartRefusal) { try files.countStart() } catch { throw .failed("\(error)") }
  }
}

extension DataDirectory {
  /// The start block is durable.
  func note(_ start: OpenedStart) throws(BenchError) {
    do throws(StartRefusal) { try noteOpened(start) } catch { throw .failed("\(error)") }
  }

  /// The steps of `Boot` up to recovery.
  static func opened(_ path: String) throws(BenchError) -> TakenDirectory {
    do throws(StartRefusal) {
      let files = try DataDirectory(path: path)
      let identity = try files.checkIdentity(
        cluster: KilledNode.cluster, clusterID: KilledNode.clusterID, node: KilledNode.node)
      return TakenDirectory(files: files, identity: identity, start: try files.take(identity))
    } catch { throw .failed("\(error)") }
  }
}
