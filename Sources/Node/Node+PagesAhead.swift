import Primitives
import Raft
import Store

// Pages that the next commands will miss, ordered together: a disk reads many in hardly more time than one.

extension Node {
  /// Pages on their way at most because of this, and commands that are looked at in one go.
  private static let pagesAheadMax = 64
  private static let commandsAheadMax = 1024

  /// Applying waits for a page at `cursor` of `entry`. Looks at the commands behind, each once, as far as they are in memory.
  func loadAhead(_ entry: Entry, _ cursor: EntryCursor) {
    guard pages.count <= Self.pagesAheadMax / 2 else { return }
    var ahead = replica.ahead ?? (entry.index, cursor)
    if (ahead.index, ahead.cursor.ordinal) < (entry.index, cursor.ordinal) { ahead = (entry.index, cursor) }
    do throws(DecodeError) {
      for _ in 0..<Self.commandsAheadMax where pages.count < Self.pagesAheadMax {
        guard try advance(&ahead) else { break }
        let command = try ahead.cursor.current()
        ahead.cursor.payload.withBytes { payload in
          let bytes = UnsafeRawBufferPointer(rebasing: payload[command])
          for missing in replica.machine.missingPages(for: bytes, store: store) { load(missing) }
        }
      }
    } catch {
      // Applying will meet the same and say so.
    }
    replica.ahead = ahead
  }

  /// To the next command, over the ends of entries. False when no more is in memory.
  private func advance(_ place: inout (index: LogIndex, cursor: EntryCursor)) throws(DecodeError) -> Bool {
    if !place.cursor.isAtEnd { try place.cursor.advance() }
    while place.cursor.isAtEnd {
      guard let next = replica.committedEntry(place.index.next) else { return false }
      place.index = next.index
      if next.kind == .command { place.cursor = try EntryCursor(next.payload) }
    }
    return true
  }
}
