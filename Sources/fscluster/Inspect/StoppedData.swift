import CLinux
import Foundation
import Journal
import Node
import Primitives
import Store

/// A data directory that no process uses, opened for reading.
final class StoppedData {
  let path: String
  private let lock: Int32
  private let pages: Int32
  let segments: [(name: String, file: JournalFile)]
  private var segmentDescriptors: [UInt32: Int32] = [:]

  private var lanePath: String { path + "/lane-0" }

  /// Refuses a directory that a node uses: its files change while they are read.
  init(_ path: String) throws(CommandError) {
    self.path = path
    guard access(path + "/lane-0/pages", F_OK) == 0 else {
      throw .usage("\(path) is no data directory of a node", next: "Name one that holds lane-0/pages (DIR/n1/data).")
    }
    lock = fs_open(path + "/LOCK", O_RDWR | O_CLOEXEC, 0)
    guard lock >= 0 || errno == ENOENT else { throw StoppedData.unreadable(path + "/LOCK") }
    if lock >= 0, fs_lock_whole(lock) != 0 {
      throw .usage("\(path) is in use by a running node", next: "Stop the node first: fscluster stop NODE.")
    }
    pages = fs_open(path + "/lane-0/pages", O_RDONLY | O_CLOEXEC, 0)
    guard pages >= 0 else { throw StoppedData.unreadable(path + "/lane-0/pages") }
    let log = path + "/lane-0/log"
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: log)) ?? []).filter { $0.hasSuffix(".log") }
    var found: [(name: String, file: JournalFile)] = []
    for name in names.sorted() {
      guard let number = UInt32(name.dropLast(4)) else { continue }
      let descriptor = fs_open(log + "/" + name, O_RDONLY | O_CLOEXEC, 0)
      guard descriptor >= 0 else { throw StoppedData.unreadable(log + "/" + name) }
      segmentDescriptors[number] = descriptor
      found.append((name, JournalFile(file: number, bytes: StoppedData.size(descriptor))))
    }
    segments = found
  }

  deinit {
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
    StoppedData.fill(target, from: pages, at: page.fileOffset)
  }

  /// The starts of the node that it has recorded; nil before the first one.
  func boots() -> Boots? {
    FileManager.default.contents(atPath: path + "/boots").flatMap { try? Boots(decoding: Array($0)) }
  }
}

extension StoppedData: JournalSource {
  var files: [JournalFile] { segments.map(\.file) }

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
