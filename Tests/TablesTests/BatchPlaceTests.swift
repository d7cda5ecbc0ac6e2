import Testing

@testable import Tables

@Suite struct BatchPlaceTests {
  private let body = """
    {"operations":[{"op":"put","table":"simple","key":"a,b","row":{"v":"x"}},
    {"key":["g++",-5],"op":"delete","table":"everything"},{"op":"check","table":"gone","key":1},
    {"op":"patch","table":"simple","key":7,"row":{}},{"op":"put","table":"simple"}]}
    """

  private func catalog() throws -> Catalog {
    var catalog = Catalog()
    catalog.add(try makeTable(simple, id: 100))
    catalog.add(try makeTable(everything, id: 101))
    return catalog
  }

  private func place(_ position: Int, _ text: String? = nil) throws -> BatchPlace? {
    let catalog = try catalog()
    return bytes(text ?? body).withBytes { catalog.place(position, inBatch: $0) }
  }

  @Test func anOperationIsFoundByItsPosition() throws {
    #expect(try place(0) == BatchPlace(kind: .put, table: "simple", key: bytes("a%2Cb")))
    #expect(try place(1) == BatchPlace(kind: .delete, table: "everything", key: bytes("g++,-5")))
  }

  @Test func aKeyThatIsNoneOfItsTableIsLeftOut() throws {
    #expect(try place(2) == BatchPlace(kind: .check, table: "gone", key: nil))
    #expect(try place(3) == BatchPlace(kind: .patch, table: "simple", key: nil))
  }

  @Test func whatCannotBeReadHasNoPlace() throws {
    #expect(try place(4) == nil)
    #expect(try place(5) == nil)
    #expect(try place(0, "{\"operations\":[]}") == nil)
    #expect(try place(0, "[") == nil)
  }
}
