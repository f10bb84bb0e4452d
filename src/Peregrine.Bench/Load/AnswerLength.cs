// How long an answer is: for an echo as long as the request, for HTTP what the first answer's header says, and the same ever after.
using System.Buffers.Text;

namespace Peregrine.Bench.Load;

internal static class AnswerLength
{
    /// <summary>The whole length of the HTTP answer that begins here; 0 while its header is not complete.</summary>
    /// <exception cref="InvalidDataException">It is no answer with a length and status 200.</exception>
    internal static int OfHttp(ReadOnlySpan<byte> bytes)
    {
        var end = bytes.IndexOf("\r\n\r\n"u8);
        if (end < 0) return bytes.Length > 8_192 ? throw new InvalidDataException("the answer's header does not end") : 0;
        var header = bytes[..(end + 2)];
        if (!header.StartsWith("HTTP/1.1 200"u8)) throw new InvalidDataException($"the server answered \"{System.Text.Encoding.ASCII.GetString(header[..Math.Min(40, header.Length)]).Trim()}\", not 200");
        var at = 0;
        while (at < header.Length)
        {
            var line = header[at..];
            line = line[..line.IndexOf("\r\n"u8)];
            at += line.Length + 2;
            const int NameLength = 15;
            if (line.Length <= NameLength || !System.Text.Ascii.EqualsIgnoreCase(line[..NameLength], "content-length:"u8)) continue;
            if (Utf8Parser.TryParse(line[NameLength..].Trim((byte)' '), out int length, out _) && length is >= 0 and < 1 << 20) return end + 4 + length;
        }
        throw new InvalidDataException("the answer has no Content-Length");
    }
}
