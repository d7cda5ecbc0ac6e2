import Glibc
import Journal
import Node
import Primitives
import Ring
import Sealing
import Store
import Transport

/// A node's data on disk, as it is opened: who owns it, who uses it, how often it was started.
///
///     data/LOCK              held while a process uses the directory
///     data/boots             the starts, replaced as a whole at each
///     data/keys              with encryption, its keys (Encryption.swift)
///     data/lane-0/pages      the page file
///     data/lane-0/log/       the log's segments
///
/// Nothing is changed before `countStart`, which is called when recovery has accepted everything: a directory of somebody else
/// and a damaged one stay as they are. (`take` makes an empty `LOCK` where there is none.)
package final class DataDirectory: LaneFiles {
  let path: String
  package let pagesBytes: UInt64
  package private(set) var files: [JournalFile] = []
  private let pages: OpenFile
  private var segments: [UInt32: OpenFile] = [:]
  private var lock: OpenFile?
  /// Opens what is encrypted; set before anything but the superblocks is read.
  var sealer: Sealer?
  private lazy var openedBlock = IOBuffer(count: JournalFormat.blockBytesMax)
  /// A data key that something here is encrypted with, and that nobody has.
  private var lostKey: UInt32?
  private var directoryID: UInt64 = 0
  /// With the start that is under way.
  private var boots: Boots?
  /// Reads segments ahead during recovery; nil where the kernel gives no more rings, and each read is waited for then.
  private lazy var reader: ParallelRead? = Self.makeReader()

  private var bootsPath: String { path + "/boots" }
  var pagesPath: String { path + "/lane-0/pages" }
  package var logPath: String { path + "/lane-0/log" }

  package init(path: String) throws(StartRefusal) {
    self.path = path
    try Self.checkIsFormatted(path)
    do throws(SystemError) {
      pages = try OpenFile(path + "/lane-0/pages", [.read, .direct])
      pagesBytes = try pages.file.size()
    } catch { throw StartRefusal("\(error)") }
  }

  private static func checkIsFormatted(_ path: String) throws(StartRefusal) {
    let remedy =
      "make a cluster's directories by `fscluster init --name NAME --node ADDRESS --node ADDRESS --node ADDRESS`"
    guard FileSystem.isDirectory(path) else { throw StartRefusal("there is no data directory \(path): \(remedy)") }
    do throws(SystemError) {
      let names = try FileSystem.list(path)
      if names.isEmpty { throw SystemError("empty", path, code: 0) }
      if !FileSystem.exists(path + "/lane-0/pages") { throw SystemError("foreign", path, code: 0) }
    } catch {
      switch error.call {
      case "empty": throw StartRefusal("the data directory \(path) is empty: \(remedy)")
      case "foreign":
        throw StartRefusal("\(path) is no data directory of FileStore (it has no lane-0/pages): \(remedy)")
      default: throw StartRefusal("\(error)")
      }
    }
  }

  /// Whose it is. Nothing is changed when it is not this node's.
  package func checkIdentity(
    cluster: [UInt8], clusterID: String, node: NodeID
  ) throws(StartRefusal) -> StoreIdentity {
    let found: StoreIdentity
    do throws(OpenRefusal) { found = try readIdentity(self) } catch { throw refusal(error) }
    directoryID = found.directory
    guard found.cluster == cluster else {
      throw refusal(.anotherCluster(found: hexadecimal(found.cluster), expected: clusterID))
    }
    guard found.node == node else { throw refusal(.anotherNode(found: found.node, expected: node)) }
    return found
  }

  package func refusal(_ refusal: OpenRefusal) -> StartRefusal {
    if let lost = lostKeyRefusal { return lost }
    if case .journal(let journal) = refusal { return StartRefusal("data directory \(path): \(words(journal))") }
    return StartRefusal("data directory \(path): \(refusal)")
  }

  /// Set when something turned up that is encrypted with a key that is not there. A log that cannot be read looks like none,
  /// so nothing may be written then, however well everything else went.
  var lostKeyRefusal: StartRefusal? {
    lostKey.map { key in
      StartRefusal(
        "data directory \(path): something is encrypted with the data key \(keyName(key)), which the file `keys` does not "
          + "hold: restore this directory's own file `keys` from a copy")
    }
  }

  /// Locks it, numbers the start, and makes what a killed process left behind durable: what recovery reads must stay.
  package func take(_ identity: StoreIdentity) throws(StartRefusal) -> NumberedStart {
    do throws(SystemError) {
      let lock = try OpenFile(path + "/LOCK", [.write, .create])
      try lock.file.lock()
      self.lock = lock
      try listSegments()
      for file in files { try segments[file.file]?.file.synchronize() }
      return try numberStart(identity)
    } catch {
      if error.isInUse { throw StartRefusal("data directory \(path): another filestored uses it") }
      throw StartRefusal("data directory \(path): \(error)")
    }
  }

  /// Makes the start durable. Before anybody hears of it, and before its first write.
  package func countStart() throws(StartRefusal) { try writeBoots() }

  /// The start block is durable: a log that lacks it from now on has lost a file. Before anything is taken from anybody.
  package func noteOpened(_ start: OpenedStart) throws(StartRefusal) {
    boots?.noteOpened(start)
    try writeBoots()
  }

  private func writeBoots() throws(StartRefusal) {
    guard let boots else { preconditionFailure("the start is numbered") }
    do throws(SystemError) { try FileSystem.replace(bootsPath, with: boots.encoded()) } catch {
      throw StartRefusal("data directory \(path): \(error)")
    }
  }

  private func numberStart(_ identity: StoreIdentity) throws(SystemError) -> NumberedStart {
    let file = bootsPath
    var boots = Boots(directory: identity.directory)
    if FileSystem.exists(file) {
      do throws(DecodeError) { boots = try Boots(decoding: try readBytes(file)) } catch {
        throw SystemError("the list of starts is damaged: \(error.message)", file, code: EIO)
      }
      guard boots.directory == identity.directory else {
        throw SystemError("the list of starts is of another directory", file, code: EINVAL)
      }
    }
    let boot = boots.add(nonce: Entropy.number())
    self.boots = boots
    return NumberedStart(boot: boot, opened: boots.opened)
  }

  private func readBytes(_ file: String) throws(DecodeError) -> [UInt8] {
    do throws(SystemError) { return try FileSystem.read(file) } catch { throw .invalid("\(error)") }
  }

  private func listSegments() throws(SystemError) {
    for name in try FileSystem.list(logPath) {
      guard let number = LogFiles.number(in: name) else { continue }
      let open = try OpenFile(logPath + "/" + name, [.read, .direct])
      segments[number] = open
      files.append(JournalFile(file: number, bytes: try open.file.size()))
    }
  }

  /// Removes half-made segments. After recovery accepted the rest.
  package func clean() {
    do throws(SystemError) {
      for name in try FileSystem.list(logPath) where name.hasSuffix(".log.new") {
        try FileSystem.remove(logPath + "/" + name)
      }
    } catch {
      // Only space; the next start tries again.
    }
  }

  /// Closes what only recovery needed.
  package func endRecovery() {
    segments = [:]
    reader = nil
  }

  private static func makeReader() -> ParallelRead? {
    do throws(RingRefusal) { return try ParallelRead() } catch { return nil }
  }

  // MARK: - LaneFiles

  package func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    guard let segment = segments[file] else { throw JournalReadError(errno: ENOENT) }
    try fill(target, from: segment, at: offset)
  }

  package func beginReading(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool {
    guard let segment = segments[file], let reader else { return false }
    reader.begin(segment, at: offset, into: target)
    return true
  }

  package func finishReading() throws(JournalReadError) { try reader?.finish() }

  package func readPages(offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    try fill(target, from: pages, at: offset)
    for start in stride(from: 0, to: target.count, by: Store.pageBytes) {
      let page = UnsafeMutableRawBufferPointer(rebasing: target[start..<min(start + Store.pageBytes, target.count)])
      if offset + UInt64(start) >= 2 * UInt64(Store.pageBytes) { open(page) }
    }
  }

  private func open(_ page: UnsafeMutableRawBufferPointer) {
    note(SealedForm.page.keyID(of: UnsafeRawBufferPointer(page)))
    sealer?.openInPlace(.page, page)
  }

  private func note(_ keyID: UInt32?) {
    if let keyID, sealer?.holds(keyID) != true { lostKey = keyID }
  }

  package func opened(_ block: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    // A client's bytes may look like a block; they do not know the directory's id.
    if JournalFormat.directory(of: block) == directoryID { note(SealedForm.block.keyID(of: block)) }
    guard let sealer else { return block }
    let target = UnsafeMutableRawBufferPointer(rebasing: openedBlock.memory.bytes[..<block.count])
    switch sealer.open(.block, block, into: target) {
    case .plain: return block
    case .opened: return UnsafeRawBufferPointer(target)
    case .refused: return nil
    }
  }

  private func fill(
    _ target: UnsafeMutableRawBufferPointer, from file: OpenFile, at offset: UInt64
  ) throws(JournalReadError) {
    do throws(SystemError) {
      let count = try file.file.read(into: target, at: offset)
      guard count == target.count else { throw SystemError("read", file.file.path, code: EIO) }
    } catch { throw JournalReadError(errno: error.code) }
  }

  /// A log that is not opened, with the file and the place.
  private func words(_ refusal: JournalRefusal) -> String {
    switch refusal {
    case .damage(let damage):
      "the log is damaged: \(LogFiles.name(of: damage.file)) at offset \(damage.offset) (\(words(damage.kind))). Nothing "
        + "was changed; restore this node's data from its peers"
    case .foreign(let file, _, _): "\(LogFiles.name(of: file)) belongs to another data directory"
    case .unknownVersion(let file, let version):
      "\(LogFiles.name(of: file)) has the format version \(version), which this program does not read"
    case .bootNotRaised(let file, let found):
      "\(LogFiles.name(of: file)) was written by start \(found), which is not before this one: an old copy of `boots`?"
    case .unreadable(let file, let offset, let errno):
      "\(LogFiles.name(of: file)) cannot be read at offset \(offset): \(systemText(errno))"
    }
  }

  private func words(_ kind: JournalDamage.Kind) -> String {
    switch kind {
    case .lostBlock: "a block that was durable is missing or its checksum is wrong"
    case .malformed: "a record that no writer writes"
    case .lostEntries: "entries are missing"
    case .shortFile: "the file was cut short there"
    case .missingFile: "the file is missing, and the log may go on in it"
    case .missingStart: "the last start of this node began its log in it, and that is not there"
    }
  }
}

/// A start that has its number, and the last one before it that has its start block.
package struct NumberedStart {
  package let boot: Boots.Boot
  package let opened: OpenedStart?
}

/// Why a node does not start. One line for people; the process ends with 1.
package struct StartRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}

func hexadecimal(_ bytes: [UInt8]) -> String {
  bytes.map { byte in
    let digits = String(byte, radix: 16)
    return byte < 16 ? "0" + digits : digits
  }.joined()
}

/// The bytes of an even number of hexadecimal digits.
func bytes(hexadecimal text: String) -> [UInt8]? {
  let digits = Array(text.utf8)
  guard digits.count % 2 == 0 else { return nil }
  var bytes: [UInt8] = []
  for i in stride(from: 0, to: digits.count, by: 2) {
    guard let byte = UInt8(String(decoding: digits[i...i + 1], as: UTF8.self), radix: 16) else { return nil }
    bytes.append(byte)
  }
  return bytes
}
