import Primitives

/// One operation of a batch, as an error names it.
package struct BatchPlace: Equatable, Sendable {
  package var kind: OperationKind
  package var table: String
  /// As a path would give it; nil when it is no key of the table, or the table is not there.
  package var key: [UInt8]?
}

extension Catalog {
  /// The operation at `position` of the body of `POST /v1/batch`; nil when the body cannot be read so far.
  package func place(_ position: Int, inBatch json: UnsafeRawBufferPointer) -> BatchPlace? {
    do throws(Refusal) {
      var scanner = JSONScanner(json)
      var reader = BatchReader()
      try reader.open(&scanner)
      for _ in 0..<position { _ = try reader.next(&scanner) }
      guard let request = try reader.next(&scanner) else { return nil }
      let key = json.part(request.key.lowerBound, request.key.count)
      return BatchPlace(kind: request.kind, table: request.table, key: path(key, in: request.table))
    } catch { return nil }
  }

  private func path(_ json: UnsafeRawBufferPointer, in name: String) -> [UInt8]? {
    guard let table = table(named: name) else { return nil }
    do throws(Refusal) {
      var key: [UInt8] = []
      try table.appendKey(json: json, to: &key)
      var path: [UInt8] = []
      key.withBytes { table.appendPath(key: $0, to: &path) }
      return path
    } catch { return nil }
  }
}
