import Primitives

// What the files themselves say: a block can vouch for those before it, never for those behind it. A file that was cut short or
// taken away at the log's end would look like an end.

extension Replay {
  /// Throws when a file that may hold part of the log is missing or shorter than its segment.
  func checkFiles(_ survey: Survey, opened: OpenedStart?) throws(JournalRefusal) {
    try checkSizes(survey)
    if let opened, boot < opened.boot { throw missing(.missingStart, opened.file) }
    if nextFile != 0, !survey.files.contains(where: { $0.file == nextFile }) { throw missing(.missingFile, nextFile) }
    if last == nil, let applied = checkpoints.map(\.appliedIndex).max(), applied > .zero {
      throw missing(.lostEntries, survey.files.first?.file ?? 1)
    }
  }

  private func missing(_ kind: JournalDamage.Kind, _ file: UInt32, at offset: UInt64 = 0) -> JournalRefusal {
    .damage(JournalDamage(kind: kind, file: file, offset: offset, sequence: expected, held: nil))
  }

  /// A segment's file appears under its name when it has its size, so a shorter one was cut. Without a whole block nobody knows
  /// what it held: it must be as long as the others, and as any segment.
  private func checkSizes(_ survey: Survey) throws(JournalRefusal) {
    let others = survey.segments.map(\.saidBytes).max() ?? 0
    let expected = others > 0 ? others : max(JournalFormat.segmentBytesMin, survey.files.map(\.bytes).max() ?? 0)
    for file in survey.files {
      let found = survey.segments.first { $0.file == file }
      let said = found?.saidBytes ?? 0
      guard file.bytes < (said > 0 ? said : expected) else { continue }
      if let found, isOfNoAccount(found) { continue }
      throw missing(.shortFile, file.file, at: file.bytes)
    }
  }

  /// Behind an end that a start block named, or older than the oldest live segment.
  private func isOfNoAccount(_ segment: FoundSegment) -> Bool { segment.isDead || segment.use < oldestUse }
}
