/// Lays parameters out as libpq wants them: pointers, lengths and formats side by side, bytes in one block that is used again.
final class ParameterArena {
    private static let keptBytes = 1 << 20
    private var block = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 8)
    private var values: [UnsafePointer<CChar>?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []

    deinit { block.deallocate() }

    func withLayout<R>(
        of parameters: [PostgresValue],
        _ body: (Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> R
    ) -> R {
        reserve(parameters.reduce(0) { $0 + ($1.bytes?.count ?? 0) })
        defer { if block.count > Self.keptBytes { replaceBlock(Self.keptBytes) } }
        values.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        var offset = 0
        for parameter in parameters {
            guard let bytes = parameter.bytes else {
                values.append(nil)
                lengths.append(0)
                continue
            }
            let target = UnsafeMutableRawBufferPointer(rebasing: block[offset..<offset + bytes.count])
            target.copyBytes(from: bytes)
            // An empty value still needs an address: a null pointer would be NULL.
            values.append(block.baseAddress.map { UnsafePointer(($0 + offset).assumingMemoryBound(to: CChar.self)) })
            lengths.append(Int32(clamping: bytes.count))
            offset += bytes.count
        }
        while formats.count < parameters.count { formats.append(1) }
        return values.withUnsafeBufferPointer { values in
            lengths.withUnsafeBufferPointer { lengths in
                formats.withUnsafeBufferPointer { formats in
                    body(Int32(clamping: parameters.count), values.baseAddress, lengths.baseAddress, formats.baseAddress)
                }
            }
        }
    }

    private func reserve(_ byteCount: Int) {
        if byteCount >= block.count { replaceBlock(byteCount + 1) }
    }

    private func replaceBlock(_ byteCount: Int) {
        block.deallocate()
        block = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 8)
    }
}
