import Glibc

/// What is refused before anything is sent, because the server's answer would be unclear or would harm others.
enum StatementRules {
    /// Returns the bytes the statement will take.
    static func check(_ sql: SQL, in configuration: PostgresConfiguration, insideTransaction: Bool) throws(PostgresError) -> Int {
        guard sql.parameters.count <= 65_535 else {
            throw PostgresError(.tooLarge, "\(sql.parameters.count) parameters; Postgres takes 65535, so bind an array")
        }
        var parameterBytes = 0
        for (index, parameter) in sql.parameters.enumerated() {
            guard let bytes = parameter.bytes else { continue }
            parameterBytes += bytes.count
            try refuseNUL(bytes, parameter.typeOID, index)
        }
        guard parameterBytes <= configuration.maxParameterBytes else {
            throw PostgresError(
                .tooLarge, "\(parameterBytes) bytes of parameters; the limit is \(configuration.maxParameterBytes)")
        }
        var text = sql.text
        let verdict = text.withUTF8 { utf8 -> PostgresError? in
            if containsNUL(UnsafeRawBufferPointer(utf8)) { return PostgresError(.configuration, "the text of a statement holds U+0000") }
            return refuseControl(utf8, insideTransaction: insideTransaction)
        }
        if let verdict { throw verdict }
        return parameterBytes + text.utf8.count
    }

    private static func containsNUL(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress else { return false }
        return memchr(start, 0, bytes.count) != nil
    }

    private static func refuseNUL(_ bytes: [UInt8], _ typeOID: UInt32, _ index: Int) throws(PostgresError) {
        let found: Bool
        switch typeOID {
        case PostgresType.text, PostgresType.json, PostgresType.jsonb, PostgresType.varchar:
            found = bytes.withUnsafeBytes(containsNUL)
        case PostgresType.textArray:
            found = bytes.withUnsafeBytes { bytes in
                guard var reader = PostgresArrayFormat.Reader(bytes) else { return false }
                for _ in 0..<reader.count {
                    if case .value(let value) = reader.next(), containsNUL(value) { return true }
                }
                return false
            }
        default: return
        }
        if found {
            throw PostgresError(
                .decoding, "text parameters cannot hold U+0000; parameter $\(index + 1) does, and Postgres can keep it only as bytea")
        }
    }

    /// Transaction control would leave a shared connection in the wrong state for the next caller; COPY cannot be pipelined.
    private static func refuseControl(_ text: UnsafeBufferPointer<UInt8>, insideTransaction: Bool) -> PostgresError? {
        var start = 0
        while start < text.count, text[start] == 0x20 || (0x09...0x0D).contains(text[start]) { start += 1 }
        guard start < text.count else { return nil }
        switch text[start] | 0x20 {
        // Only statements that begin like one of the words below are looked at closer.
        case UInt8(ascii: "a"), UInt8(ascii: "b"), UInt8(ascii: "c"), UInt8(ascii: "e"), UInt8(ascii: "p"), UInt8(ascii: "r"),
            UInt8(ascii: "s"):
            break
        default: return nil
        }
        if begins(text, start, "select") { return nil }
        let ending: [StaticString] = ["begin", "start", "commit", "end", "abort", "prepare transaction"]
        let forbidden = ending.contains { begins(text, start, $0) }
        let savepoint = begins(text, start, "savepoint") || begins(text, start, "release") || begins(text, start, "rollback to")
        if begins(text, start, "copy") { return PostgresError(.configuration, "COPY is not supported; insert from unnest($1, …)") }
        if forbidden || (begins(text, start, "rollback") && !savepoint) || (savepoint && !insideTransaction) {
            return PostgresError(.configuration, "transactions are controlled by withTransaction, not by statements")
        }
        return nil
    }

    private static func begins(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ word: StaticString) -> Bool {
        guard text.count - start >= word.utf8CodeUnitCount else { return false }
        for index in 0..<word.utf8CodeUnitCount where text[start + index] | 0x20 != word.utf8Start[index] { return false }
        let end = start + word.utf8CodeUnitCount
        guard end < text.count else { return true }
        let next = text[end] | 0x20
        return !(0x61...0x7A).contains(next) && text[end] != UInt8(ascii: "_")
    }
}
