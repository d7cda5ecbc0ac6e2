import CLinux
import Foundation
import Journal
import Node
import Primitives
import Sealing
import Store

/// A data directory that no process uses, opened for reading.
final class StoppedData {
  let path: String
  // All have a value before anything is refused: only then does `deinit` close and free what a refused one has opened.
  private var lock: Int32 = -1
  private var pages: Int32 = -1
  private(set) var segments: [(name: String, file: JournalFile)] = []
  private var sealer: Sealer?
  /// Whose blocks they are: from the superblock that was read last.
  private var directoryID: UInt64?
  /// A data key that something is encrypted with and that the file `keys` does not hold.
  private(set) var lostKey: UInt32?
  /// Plain bytes of the block read last.
  private let openedBlock = UnsafeMutableRawBufferPointer.allocate(
    byteCount: JournalFormat.blockBytesMax, alignment: 16)
  private var segmentDescriptors: [UInt32: Int32] = [:]

  private var lanePath: String { path + "/lane-0" }

  /// Refuses a directory that a node uses: its files change while they are read.
  /// - Parameter keyFile: the master keys of an encrypted one; nil: what `config.yaml` beside the directory names.
  init(_ path: String, keyFile: String? = nil) throws(CommandError) {
    self.path = path
    guard access(path + "/lane-0/pages", F_OK) == 0 else {
      throw .usage("\(path) is no data directory of a node", next: "Name one that holds lane-0/pages (DIR/n1/data).")
    }
    sealer = try StoppedData.sealer(path, keyFile: keyFile)
    lock = fs_open(path + "/LOCK", O_RDWR | O_CLOEXEC, 0)
    guard lock >= 0 || errno == ENOENT else { throw StoppedData.unreadable(path + "/LOCK") }
    if lock >= 0, fs_lock_whole(lock) != 0 {
      throw .usage("\(path) is in use by a running node", next: "Stop the node first: fscluster stop NODE.")
    }
    pages = fs_open(path + "/lane-0/pages", O_RDONLY | O_CLOEXEC, 0)
    guard pages >= 0 else { throw StoppedData.unreadable(path + "/lane-0/pages") }
    let log = path + "/lane-0/log"
    guard access(log, R_OK | X_OK) == 0, let names = try? FileManager.default.contentsOfDirectory(atPath: log) else {
      throw StoppedData.unreadable(log)
    }
    for name in names.sorted() {
      guard name.hasSuffix(".log"), let number = UInt32(name.dropLast(4)), StoppedData.name(of: number) == name else {
        continue
      }
      let descriptor = fs_open(log + "/" + name, O_RDONLY | O_CLOEXEC, 0)
      guard descriptor >= 0 else { throw StoppedData.unreadable(log + "/" + name) }
      segmentDescriptors[number] = descriptor
      segments.append((name, JournalFile(file: number, bytes: StoppedData.size(descriptor))))
    }
  }

  private func note(_ keyID: UInt32?) {
    if let keyID, sealer?.holds(keyID) != true { lostKey = keyID }
  }

  private static func sealer(_ path: String, keyFile: String?) throws(CommandError) -> Sealer? {
    guard FileManager.default.fileExists(atPath: path + "/keys") else { return nil }
    guard let keyFile = keyFile ?? configuredKeyFile(path) else {
      throw .usage("\(path) is encrypted", next: "Name the file with its master key: --encryption-key-file FILE.")
    }
    guard let keys = FileManager.default.contents(atPath: path + "/keys") else { throw unreadable(path + "/keys") }
    guard let text = FileManager.default.contents(atPath: keyFile) else { throw unreadable(keyFile) }
    var status = stat()
    guard stat(keyFile, &status) == 0 else { throw unreadable(keyFile) }
    do throws(KeyRefusal) {
      let masters = try MasterKeys(Array(text), mode: status.st_mode & 0o7777, path: keyFile)
      let keyring = try Keyring(
        Array(keys), masters: masters, directory: nil, path: path + "/keys", keyFile: keyFile)
      return Sealer(keyring, lane: 0)
    } catch { throw .usage(error.description) }
  }

  /// The setting in the node's configuration file, when it stands where `init` writes it.
  private static func configuredKeyFile(_ path: String) -> String? {
    let parent = URL(fileURLWithPath: path).deletingLastPathComponent()
    let file = parent.appendingPathComponent("config.yaml")
    guard let text = try? String(contentsOf: file, encoding: .utf8),
      let keyFile = NodeConfiguration.paths(text).encryptionKeyFile
    else { return nil }
    return keyFile.hasPrefix("/") ? keyFile : parent.appendingPathComponent(keyFile).path
  }

  deinit {
    openedBlock.deallocate()
    for descriptor in segmentDescriptors.values + [lock, pages] where descriptor >= 0 { close(descriptor) }
  }

  private static func unreadable(_ path: String) -> CommandError {
    .usage("\(path) cannot be read: \(String(cString: strerror(errno)))")
  }

  private static func size(_ descriptor: Int32) -> UInt64 {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? UInt64(status.st_size) : 0
  }

  var pagesBytes: UInt64 { StoppedData.size(pages) }

  /// False when the file ends before, or cannot be read.
  static func fill(_ target: UnsafeMutableRawBufferPointer, from descriptor: Int32, at offset: UInt64) -> Bool {
    var done = 0
    while done < target.count {
      guard let base = target.baseAddress else { return false }
      let count = pread(descriptor, base + done, target.count - done, off_t(offset) + off_t(done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }

  func page(_ page: PageID, into target: UnsafeMutableRawBufferPointer) -> Bool {
    guard StoppedData.fill(target, from: pages, at: page.fileOffset) else { return false }
    // The superblocks are plain.
    guard page.rawValue >= 2 else { return true }
    note(SealedForm.page.keyID(of: UnsafeRawBufferPointer(target)))
    sealer?.openInPlace(.page, target)
    return true
  }

  /// The starts of the node that it has recorded; nil before the first one.
  func boots() throws(DecodeError) -> Boots? {
    guard FileManager.default.fileExists(atPath: path + "/boots") else { return nil }
    guard let bytes = FileManager.default.contents(atPath: path + "/boots") else { throw .invalid("it cannot be read") }
    return try Boots(decoding: Array(bytes))
  }

  /// The superblock in the file's first or second page.
  func superblock(_ slot: Int) throws(SuperblockProblem) -> Superblock {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Store.pageBytes, alignment: 4096)
    defer { buffer.deallocate() }
    guard page(PageID(UInt32(slot)), into: buffer) else { throw .field("the file ends before it") }
    let superblock = try Superblock.decode(UnsafeRawBufferPointer(buffer))
    guard superblock.slot == PageID(UInt32(slot)) else { throw .field("a superblock in the other's place") }
    directoryID = superblock.identity.directory
    return superblock
  }

  static func name(of segment: UInt32) -> String {
    let digits = String(segment)
    return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".log"
  }
}

extension StoppedData: JournalSource {
  var files: [JournalFile] { segments.map(\.file) }

  func opened(_ block: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    note(JournalFormat.directory(of: block) == directoryID ? SealedForm.block.keyID(of: block) : nil)
    guard let sealer else { return block }
    let target = UnsafeMutableRawBufferPointer(rebasing: openedBlock[..<block.count])
    switch sealer.open(.block, block, into: target) {
    case .plain: return block
    case .opened: return UnsafeRawBufferPointer(target)
    case .refused: return nil
    }
  }

  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    guard let descriptor = segmentDescriptors[file], StoppedData.fill(target, from: descriptor, at: offset) else {
      throw JournalReadError(errno: EIO)
    }
  }
}

/// Hands pages to `verifyStore`.
struct StoppedPages: PageSource {
  let data: StoppedData
  mutating func read(_ page: PageID, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    data.page(page, into: buffer)
  }
}
