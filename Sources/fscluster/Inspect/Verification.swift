import Journal
import Node
import Primitives
import Raft
import Sealing
import Store
import Tables

/// What `verify` found: everything that a stopped node's directory holds, read and compared.
struct Verification: Codable {
  /// Something that is not as it must be.
  struct Finding: Codable, Equatable {
    /// Below the data directory.
    var file: String
    /// In bytes; nil when it is the file as a whole.
    var offset: UInt64?
    var text: String

    var line: String { offset.map { "\(file), offset \($0): \(text)" } ?? "\(file): \(text)" }
  }

  var data: String
  var identity: InspectReport.Identity?
  /// Checkpoints that were read in full: those of both superblocks, the newest first.
  var epochs: [UInt64] = []
  var pages = 0
  /// Entries of shards: rows and what the history keeps.
  var entries = 0
  var segments = 0
  var blocks: UInt64 = 0
  /// Where the last crash cut off a write; that is no damage.
  var tornTail: String?
  var findings: [Finding] = []

  var isSound: Bool { findings.isEmpty }

  var lines: [String] {
    var lines = ["data directory \(data)"]
    if let identity {
      lines.append("cluster \(identity.cluster)  node \(identity.node)  incarnation \(identity.incarnation)")
    }
    lines.append("checkpoints \(epochs.map(String.init).joined(separator: ", ")): \(Humane.count(pages, "page")), ")
    lines[lines.count - 1] += "\(entries) entries"
    lines.append("log: \(Humane.count(segments, "segment")), \(Humane.count(Int(blocks), "block"))")
    if let tornTail { lines.append("torn end of the last crash at \(tornTail): nothing acknowledged stood there") }
    return lines + (isSound ? ["Sound."] : ["Findings:"] + findings.map { "- " + $0.line })
  }

  fileprivate mutating func find(_ file: String, _ offset: UInt64?, _ text: String) {
    findings.append(Finding(file: file, offset: offset, text: text))
  }
}

extension StoppedData {
  private static let pagesFile = "lane-0/pages"

  func verify() throws(CommandError) -> Verification {
    var result = Verification(data: path)
    result.segments = segments.count
    let superblocks = try goodSuperblocks(&result)
    let boots = verifyBoots(superblocks.first?.identity, &result)
    if let identity = superblocks.first?.identity {
      result.identity = InspectReport.Identity(identity, boots)
    }
    for superblock in superblocks {
      let checkpoints = verifyPages(superblock, &result)
      verifyLog(superblock.identity, checkpoints, boots, &result)
    }
    if let lostKey {
      result.find("keys", nil, "the data key \(keyName(lostKey)), with which something is encrypted, is not there")
    }
    return result
  }

  // MARK: Superblocks, boots

  /// The newest first. Refuses a file that is not ours or of another version.
  private func goodSuperblocks(_ result: inout Verification) throws(CommandError) -> [Superblock] {
    var good: [Superblock] = []
    var foreign = 0
    for slot in 0..<2 {
      do throws(SuperblockProblem) { good.append(try superblock(slot)) } catch {
        if case .version(let version) = error {
          throw .usage(
            "\(path)/\(Self.pagesFile) has format version \(version)", next: "Use the program that wrote it.")
        }
        if error == .magic { foreign += 1 }
        result.find(Self.pagesFile, PageID(UInt32(slot)).fileOffset, "superblock: \(error.message)")
      }
    }
    if foreign == 2 { throw .usage("\(path)/\(Self.pagesFile) is no page file of FileStore") }
    good.sort { $0.epoch > $1.epoch }
    if good.count == 2, good[0].identity != good[1].identity {
      result.find(Self.pagesFile, good[1].slot.fileOffset, "superblock: of another directory than its sibling")
      good.removeLast()
    }
    return good
  }

  private func verifyBoots(_ identity: StoreIdentity?, _ result: inout Verification) -> Boots? {
    do throws(DecodeError) {
      guard let boots = try boots() else { return nil }
      if let identity, boots.directory != identity.directory { result.find("boots", nil, "it is of another directory") }
      return boots
    } catch {
      result.find("boots", nil, error.message)
      return nil
    }
  }

  // MARK: Pages

  /// Reads all that a superblock leads to. Returns where its shards' logs go on.
  private func verifyPages(_ superblock: Superblock, _ result: inout Verification) -> [ShardCheckpoint] {
    let needed = UInt64(superblock.pageCount) * UInt64(Store.pageBytes)
    if pagesBytes < needed {
      result.find(
        Self.pagesFile, pagesBytes, "the file ends here, epoch \(superblock.epoch.rawValue) has \(needed) bytes")
    }
    var source = StoppedPages(data: self)
    var audits: [ShardID: StateAudit] = [:]
    var wrong: [String] = []
    var entries = 0
    let report = verifyStore(&source, superblock) { shard, key, value in
      entries += 1
      value.withUnsafeBytes { value in
        if case .wrong(let text) = audits[shard, default: StateAudit()].take(key: key, value: value) {
          if wrong.count < 1000 { wrong.append("shard \(shard.rawValue), key \(Self.hexadecimal(key)): \(text)") }
        }
      }
    }
    result.epochs.append(superblock.epoch.rawValue)
    result.pages += report.pages
    result.entries += entries
    for finding in report.findings { result.find(Self.pagesFile, finding.page.fileOffset, finding.description) }
    for text in wrong { result.find(Self.pagesFile, nil, text) }
    return report.shards.compactMap { shard in
      verifyShard(shard, audits[shard.shard] ?? StateAudit(), superblock, isWhole: report.isSound, &result)
    }
  }

  private static func hexadecimal(_ key: UnsafeRawBufferPointer) -> String {
    key.prefix(32).map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined() + (key.count > 32 ? "…" : "")
  }

  /// The record of a shard against what its tree holds, and against whose directory this is.
  private func verifyShard(
    _ shard: VerifyReport.Shard, _ audit: StateAudit, _ superblock: Superblock, isWhole: Bool,
    _ result: inout Verification
  ) -> ShardCheckpoint? {
    let place = "epoch \(superblock.epoch.rawValue), shard \(shard.shard.rawValue)"
    do throws(DecodeError) {
      let record = try ReplicaRecord(decoding: shard.metadata)
      if isWhole {
        for text in audit.differences(from: record.totals) { result.find(Self.pagesFile, nil, "\(place): \(text)") }
      }
      let identity = superblock.identity
      let me = Member(node: identity.node, incarnation: identity.incarnation)
      if !record.configuration.contains(me) {
        result.find(Self.pagesFile, nil, "\(place): its members do not name this directory")
      }
      return ShardCheckpoint(
        shard: shard.shard, appliedIndex: record.appliedIndex, hardState: record.hardState)
    } catch {
      result.find(Self.pagesFile, nil, "\(place): its record: \(error.message)")
      return nil
    }
  }

  // MARK: Log

  /// Reads the log as a start would that begins at these checkpoints.
  private func verifyLog(
    _ identity: StoreIdentity, _ checkpoints: [ShardCheckpoint], _ boots: Boots?, _ result: inout Verification
  ) {
    // Of a list that is damaged the number is not known; that was found already.
    let isListLost = boots == nil && result.findings.contains { $0.file == "boots" }
    let boot = isListLost ? .max : (boots?.last?.number ?? 0) + 1
    let journal = JournalIdentity(directory: identity.directory, lane: identity.lane, boot: boot)
    do throws(JournalRefusal) {
      let recovered = try recoverJournal(
        self, identity: journal, checkpoints: checkpoints, opened: boots?.opened, entriesBytesMax: 0)
      result.blocks = max(result.blocks, recovered.blockCount)
      result.tornTail = recovered.tornTail.map { "lane-0/log/\(Self.name(of: $0.file)), offset \($0.offset)" }
    } catch {
      let (file, offset) = error.place
      let finding = Verification.Finding(
        file: "lane-0/log/\(Self.name(of: file))", offset: offset, text: error.text)
      if !result.findings.contains(finding) { result.findings.append(finding) }
    }
  }
}

extension VerifyFinding {
  fileprivate var page: PageID {
    switch self {
    case .damage(let damage): damage.page
    case .unreadable(let page), .wrong(let page, _): page
    }
  }
}

extension JournalRefusal {
  /// File and offset; nil when it is the file as a whole.
  var place: (file: UInt32, offset: UInt64?) {
    switch self {
    case .damage(let damage):
      switch damage.kind {
      case .missingFile, .missingStart: (damage.file, nil)
      default: (damage.file, damage.offset)
      }
    case .foreign(let file, _, _), .unknownVersion(let file, _), .bootNotRaised(let file, _): (file, nil)
    case .unreadable(let file, let offset, _): (file, offset)
    }
  }

  /// Why a start would refuse the log.
  var text: String {
    switch self {
    case .damage(let damage):
      switch damage.kind {
      case .lostBlock: "block \(damage.sequence) was durable and is gone"
      case .malformed: "a record says what no writer writes"
      case .lostEntries: "entries are missing"
      case .shortFile: "the file was cut short there"
      case .missingFile: "the file is missing, and the log may go on in it"
      case .missingStart: "the last start began its log in it, and that is not there"
      }
    case .foreign: "it belongs to another data directory"
    case .unknownVersion(_, let version): "format version \(version)"
    case .bootNotRaised(_, let found): "written by start \(found), which `boots` does not know"
    case .unreadable: "it cannot be read"
    }
  }
}
