extension Store {
  /// Bytes of a page, and of each superblock.
  package static let pageBytes = Page.byteCount
}
