import Glibc

/// RocksDB's C interface (rocksdb/c.h), as far as it is used here.
struct RocksDBLibrary {
  typealias Handle = OpaquePointer
  typealias ErrorText = UnsafeMutablePointer<CChar>
  typealias ErrorSlot = UnsafeMutablePointer<ErrorText?>
  typealias Bytes = UnsafeRawPointer  // const char *
  typealias Make = @convention(c) () -> Handle?
  typealias Use = @convention(c) (Handle) -> Void
  typealias Switch = @convention(c) (Handle, UInt8) -> Void
  typealias Join = @convention(c) (Handle, Handle) -> Void

  // Options.
  let makeOptions: Make
  let destroyOptions: Use
  let createIfMissing: Switch
  let enableStatistics: Use
  let setTable: Join
  let setDirectReads: Switch
  let setCompression: @convention(c) (Handle, Int32) -> Void
  let setWriteBuffer: @convention(c) (Handle, Int) -> Void
  let makeTable: Make
  let destroyTable: Use
  let setBlockSize: @convention(c) (Handle, Int) -> Void
  let setBlockCache: Join
  let setFilter: Join
  let setIndexInCache: Switch
  let makeCache: @convention(c) (Int) -> Handle?
  let destroyCache: Use
  let makeBloomFilter: @convention(c) (Double) -> Handle?
  let makeWriteOptions: Make
  let destroyWriteOptions: Use
  let setSync: Switch
  let setWithoutLog: @convention(c) (Handle, Int32) -> Void
  let makeReadOptions: Make
  let destroyReadOptions: Use
  let setReadTier: @convention(c) (Handle, Int32) -> Void

  // The database.
  let open: @convention(c) (Handle, UnsafePointer<CChar>, ErrorSlot) -> Handle?
  let close: Use
  let compactRange: @convention(c) (Handle, Bytes?, Int, Bytes?, Int) -> Void
  let text: @convention(c) (Handle, UnsafePointer<CChar>) -> ErrorText?
  let free: @convention(c) (UnsafeMutableRawPointer?) -> Void

  // Rows.
  let makeBatch: Make
  let destroyBatch: Use
  let clearBatch: Use
  let putIntoBatch: @convention(c) (Handle, Bytes?, Int, Bytes?, Int) -> Void
  let write: @convention(c) (Handle, Handle, Handle, ErrorSlot) -> Void
  let getPinned: @convention(c) (Handle, Handle, Bytes?, Int, ErrorSlot) -> Handle?
  let pinnedValue: @convention(c) (Handle, UnsafeMutablePointer<Int>) -> Bytes?
  let destroyPinned: Use
  let makeIterator: @convention(c) (Handle, Handle) -> Handle?
  let destroyIterator: Use
  let seekToFirst: Use
  let isValid: @convention(c) (Handle) -> UInt8
  let next: Use
  let iteratorValue: @convention(c) (Handle, UnsafeMutablePointer<Int>) -> Bytes?
  let iteratorError: @convention(c) (Handle, ErrorSlot) -> Void

  init() throws(BenchError) {
    // Not by its version, which is in the file's name and differs between releases of Debian; the interface does not.
    let library = try SharedLibrary("librocksdb.so", package: "librocksdb-dev")
    makeOptions = try library.symbol("rocksdb_options_create")
    destroyOptions = try library.symbol("rocksdb_options_destroy")
    createIfMissing = try library.symbol("rocksdb_options_set_create_if_missing")
    enableStatistics = try library.symbol("rocksdb_options_enable_statistics")
    setTable = try library.symbol("rocksdb_options_set_block_based_table_factory")
    makeTable = try library.symbol("rocksdb_block_based_options_create")
    destroyTable = try library.symbol("rocksdb_block_based_options_destroy")
    setBlockSize = try library.symbol("rocksdb_block_based_options_set_block_size")
    setBlockCache = try library.symbol("rocksdb_block_based_options_set_block_cache")
    setDirectReads = try library.symbol("rocksdb_options_set_use_direct_reads")
    setCompression = try library.symbol("rocksdb_options_set_compression")
    setWriteBuffer = try library.symbol("rocksdb_options_set_write_buffer_size")
    setIndexInCache = try library.symbol("rocksdb_block_based_options_set_cache_index_and_filter_blocks")
    setWithoutLog = try library.symbol("rocksdb_writeoptions_disable_WAL")
    setFilter = try library.symbol("rocksdb_block_based_options_set_filter_policy")
    makeCache = try library.symbol("rocksdb_cache_create_lru")
    destroyCache = try library.symbol("rocksdb_cache_destroy")
    makeBloomFilter = try library.symbol("rocksdb_filterpolicy_create_bloom_full")
    makeWriteOptions = try library.symbol("rocksdb_writeoptions_create")
    destroyWriteOptions = try library.symbol("rocksdb_writeoptions_destroy")
    setSync = try library.symbol("rocksdb_writeoptions_set_sync")
    makeReadOptions = try library.symbol("rocksdb_readoptions_create")
    destroyReadOptions = try library.symbol("rocksdb_readoptions_destroy")
    setReadTier = try library.symbol("rocksdb_readoptions_set_read_tier")
    open = try library.symbol("rocksdb_open")
    close = try library.symbol("rocksdb_close")
    compactRange = try library.symbol("rocksdb_compact_range")
    text = try library.symbol("rocksdb_property_value")
    free = try library.symbol("rocksdb_free")
    makeBatch = try library.symbol("rocksdb_writebatch_create")
    destroyBatch = try library.symbol("rocksdb_writebatch_destroy")
    clearBatch = try library.symbol("rocksdb_writebatch_clear")
    putIntoBatch = try library.symbol("rocksdb_writebatch_put")
    write = try library.symbol("rocksdb_write")
    getPinned = try library.symbol("rocksdb_get_pinned")
    pinnedValue = try library.symbol("rocksdb_pinnableslice_value")
    destroyPinned = try library.symbol("rocksdb_pinnableslice_destroy")
    makeIterator = try library.symbol("rocksdb_create_iterator")
    destroyIterator = try library.symbol("rocksdb_iter_destroy")
    seekToFirst = try library.symbol("rocksdb_iter_seek_to_first")
    isValid = try library.symbol("rocksdb_iter_valid")
    next = try library.symbol("rocksdb_iter_next")
    iteratorValue = try library.symbol("rocksdb_iter_value")
    iteratorError = try library.symbol("rocksdb_iter_get_error")
  }

  /// A call that reports by an error text of its own.
  @inline(__always)
  func check<R>(_ call: StaticString, _ body: (ErrorSlot) -> R) throws(BenchError) -> R {
    var error: ErrorText?
    let result = body(&error)
    guard let error else { return result }
    defer { free(error) }
    throw .failed("RocksDB: \(call): \(String(cString: error))")
  }

  /// What a call makes, which it does unless memory is out.
  func made(_ handle: Handle?) throws(BenchError) -> Handle {
    guard let handle else { throw .failed("RocksDB makes nothing") }
    return handle
  }

  /// Of `rocksdb::CompressionType`.
  static let noCompression: Int32 = 0
  /// Of `rocksdb::ReadTier`: what is not in memory is an error.
  static let onlyFromMemory: Int32 = 1
}
