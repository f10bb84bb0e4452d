// Writes a SYN's options as FreeBSD does: MSS, window scale, SACK permitted, timestamps, fast open, MD5 signature, with NOPs only where a word would
// be crossed, and ends of list behind the last. Segments without SYN look the same on both systems.
using System.Buffers.Binary;

namespace Peregrine.Wire;

internal static class PackedTcpOptions
{
    /// <summary>RFC 2385 §3.0: bytes of the option.</summary>
    internal const int SignatureLength = 18;

    public static int LengthOf(in TcpOptions options)
    {
        int at = 4;
        if (options.HasWindowScale) at += 4;
        if (options.SackPermitted) at += 2;
        if (options.HasTimestamps) at = StampStart(at) + 10;
        at += options.FastOpenLength;
        if (options.HasAccurateEcn) at = ((at + 3) & ~3) + options.AccurateEcn.Length;
        if (options.HasMd5) at = StampStart((at + 1) & ~1) + SignatureLength;
        return (at + 3) & ~3;
    }

    // Timestamps and signature start two bytes into a word, so that their values lie on words.
    private static int StampStart(int at) => at % 4 == 2 ? at : at + 2;

    public static int Write(in TcpOptions options, Span<byte> destination, ReadOnlySpan<byte> fastOpenCookie)
    {
        // RFC 9293 MUST-69: what is not written below is the end of the list.
        destination.Clear();
        BinaryPrimitives.WriteUInt32BigEndian(destination, 0x0204_0000u | options.Mss);
        int at = 4;
        if (options.HasWindowScale)
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination[at..], 0x0103_0300u | options.WindowScale.Shift);
            at += 4;
        }

        if (options.SackPermitted)
        {
            BinaryPrimitives.WriteUInt16BigEndian(destination[at..], 0x0402);
            at += 2;
        }

        if (options.HasTimestamps) at = WriteStamps(options, destination, at);
        if (options.HasFastOpen) at += TcpOptionsWriter.WriteFastOpen(options, destination[at..], fastOpenCookie);
        if (options.HasAccurateEcn)
        {
            // A word of its own: its NOPs stand before it.
            int start = (at + 3) & ~3;
            destination[at..start].Fill(TcpOptionKind.NoOperation);
            at = start + options.AccurateEcn.Write(destination[start..]);
        }

        // Nothing but the code lies behind its option.
        if (options.HasMd5) WriteSignatureFrame(destination, at);
        return destination.Length;
    }

    private static void WriteSignatureFrame(Span<byte> destination, int at)
    {
        int start = destination.Length - SignatureLength;
        destination[at..start].Fill(TcpOptionKind.NoOperation);
        destination[start] = TcpOptionKind.Md5;
        destination[start + 1] = SignatureLength;
    }

    private static int WriteStamps(in TcpOptions options, Span<byte> destination, int at)
    {
        int start = StampStart(at);
        destination[at..start].Fill(TcpOptionKind.NoOperation);
        BinaryPrimitives.WriteUInt16BigEndian(destination[start..], 0x080A);
        BinaryPrimitives.WriteUInt32BigEndian(destination[(start + 2)..], options.TsVal);
        BinaryPrimitives.WriteUInt32BigEndian(destination[(start + 6)..], options.TsEcr);
        return start + 10;
    }
}
