// Counts the ends of HTTP request headers in bytes that arrive in any pieces. Not a parser: the benchmarks' requests are all alike.
namespace Peregrine.Bench.Serving;

internal struct HeaderEnds
{
    /// <summary>Bytes of "\r\n\r\n" that the last piece ended with.</summary>
    private int _matched;

    /// <summary>How many headers end in this piece.</summary>
    internal int Count(ReadOnlySpan<byte> bytes)
    {
        var count = 0;
        while (_matched > 0 && bytes.Length > 0)
        {
            if (bytes[0] == (_matched % 2 == 0 ? (byte)'\r' : (byte)'\n'))
            {
                bytes = bytes[1..];
                if (++_matched < 4) continue;
                count++;
                _matched = 0;
            }
            else
            {
                // A \r may begin anew; it is looked at below.
                _matched = 0;
            }
        }
        for (int at; (at = bytes.IndexOf("\r\n\r\n"u8)) >= 0; count++) bytes = bytes[(at + 4)..];
        if (bytes.Length == 0) return count;
        _matched = bytes.EndsWith("\r\n\r"u8) ? 3 : bytes.EndsWith("\r\n"u8) ? 2 : bytes[^1] == (byte)'\r' ? 1 : 0;
        return count;
    }
}
