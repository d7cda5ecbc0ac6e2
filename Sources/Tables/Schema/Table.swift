/// A table ready for use: its description and the layout of rows that follows from it. Immutable, made once for each
/// schema version and shared.
package final class Table: Sendable {
  package let description: TableDescription
  /// In the order of the description.
  let plans: [ColumnPlan]
  /// Indexes of the key columns, in key order.
  let keyColumns: [Int]
  /// Indexes of the columns of varying length that are not in the key, in the order of the row.
  let variableColumns: [Int]
  /// Column indexes sorted by name.
  private let byName: [Int]
  /// `"name":` of all columns, one behind the other.
  let labels: [UInt8]
  package let nameBytes: [UInt8]

  /// The row of nothing but defaults, as far as it is of fixed length: flags, schema, null bits, fixed columns.
  let template: [UInt8]
  /// The defaults of columns of varying length, by position in `variableColumns`, as parts of `defaults`.
  let variableDefaults: [CellPart]
  let defaults: [UInt8]
  /// Where the null bits start in a row.
  let nullOffset: Int
  let nullableCount: Int
  /// How many columns outside the key a row must name.
  let requiredCount: Int

  package var id: TableID { description.id }
  package var name: String { description.name }
  package var schema: UInt32 { description.schema }

  package init(_ description: TableDescription) {
    self.description = description
    let layout = LayoutBuilder(description)
    plans = layout.plans
    keyColumns = layout.keyColumns
    variableColumns = layout.variableColumns
    byName = layout.byName
    labels = layout.labels
    nameBytes = Array(description.name.utf8)
    template = layout.template
    variableDefaults = layout.variableDefaults
    defaults = layout.defaults
    nullOffset = layout.nullOffset
    nullableCount = description.columns.count(where: \.nullable)
    requiredCount = layout.requiredCount
  }

  /// The index of the column called `name`. `guess` is tried first: JSON mostly comes in the order of the columns.
  func column(named name: UnsafeRawBufferPointer, guess: Int) -> Int? {
    if guess < plans.count, isLabel(guess, name) { return guess }
    var low = 0
    var high = byName.count
    while low < high {
      let middle = (low + high) / 2
      let index = byName[middle]
      let order = labels.withBytes { nameOf(index, $0).order(name) }
      if order == 0 { return index }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return nil
  }

  private func isLabel(_ index: Int, _ name: UnsafeRawBufferPointer) -> Bool {
    labels.withBytes { nameOf(index, $0).equals(name) }
  }

  /// The name inside its label: between the quotes.
  private func nameOf(_ index: Int, _ labels: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    labels.part(plans[index].labelStart + 1, plans[index].labelCount - 3)
  }

  func columnName(_ index: Int) -> String { description.columns[index].name }

  /// The index of the column with `id`.
  func column(id: UInt16) -> Int? {
    let guess = Int(id) - 1
    if guess >= 0, guess < plans.count, plans[guess].id == id { return guess }
    return plans.firstIndex { $0.id == id }
  }
}

/// Where one column stands.
struct ColumnPlan: Sendable {
  enum Place: Sendable, Equatable {
    /// Component of the key.
    case key(Int)
    /// Offset in a row with a short header (`RowFormat`), and bytes.
    case fixed(offset: Int, width: Int)
    /// Position among the columns of varying length.
    case variable(Int)
  }

  var id: UInt16
  var type: ColumnType
  var place: Place
  /// The null bit; nil when the column is never null.
  var nullBit: Int?
  var labelStart: Int
  var labelCount: Int

  var isKey: Bool { if case .key = place { true } else { false } }
}

/// Computes what `Table` holds.
private struct LayoutBuilder {
  var plans: [ColumnPlan] = []
  var keyColumns: [Int] = []
  var variableColumns: [Int] = []
  var byName: [Int] = []
  var labels: [UInt8] = []
  var template: [UInt8] = []
  var variableDefaults: [CellPart] = []
  var defaults: [UInt8] = []
  var nullOffset = 0
  var requiredCount = 0

  init(_ description: TableDescription) {
    for id in description.primaryKey {
      guard let index = description.index(ofColumn: id) else { preconditionFailure("a key column is a column") }
      keyColumns.append(index)
    }
    RowFormat.appendHeader(schema: description.schema, to: &template)
    nullOffset = template.count
    let nullable = description.columns.count(where: \.nullable)
    template.append(contentsOf: repeatElement(0, count: (nullable + 7) / 8))
    var nullBit = 0
    for (index, column) in description.columns.enumerated() {
      plan(index, column, &nullBit)
    }
    byName = plans.indices.sorted {
      description.columns[$0].name.utf8.lexicographicallyPrecedes(description.columns[$1].name.utf8)
    }
  }

  private mutating func plan(_ index: Int, _ column: Column, _ nullBit: inout Int) {
    let labelStart = labels.count
    appendJSONString(column.name, to: &labels)
    labels.append(UInt8(ascii: ":"))
    var bit: Int?
    if column.nullable {
      bit = nullBit
      if column.defaultValue == .null { template[nullOffset + nullBit / 8] |= 1 << UInt8(nullBit % 8) }
      nullBit += 1
    }
    let isKey = keyColumns.contains(index)
    if !isKey, !column.nullable { requiredCount += 1 }
    plans.append(
      ColumnPlan(
        id: column.id, type: column.type, place: place(index, column), nullBit: bit, labelStart: labelStart,
        labelCount: labels.count - labelStart))
  }

  private mutating func place(_ index: Int, _ column: Column) -> ColumnPlan.Place {
    if let component = keyColumns.firstIndex(of: index) { return .key(component) }
    if let width = column.type.fixedWidth {
      let offset = template.count
      if column.defaultValue == .null {
        template.append(contentsOf: repeatElement(0, count: width))
      } else {
        column.defaultValue.appendCell(to: &template)
      }
      return .fixed(offset: offset, width: width)
    }
    let start = defaults.count
    column.defaultValue.appendCell(to: &defaults)
    variableDefaults.append(CellPart(origin: .kept, start: start, count: defaults.count - start))
    variableColumns.append(index)
    return .variable(variableColumns.count - 1)
  }
}
