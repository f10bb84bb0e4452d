// Writes TCP options in the order and alignment that other stacks use, so that their fast paths know ours.
using System.Buffers.Binary;

namespace Peregrine.Wire;

internal static class TcpOptionsWriter
{
    public static int LengthOf(in TcpOptions options)
    {
        TcpOptionFlags flags = options.Flags;
        if (flags == TcpOptionFlags.Timestamps && options.SackBlockCount == 0) return TcpOptions.TimestampsLength;
        int length = options.IsSignedLast ? 0 : options.SignatureLength;
        if (options.IsPacked && options.HasMss) return length + PackedTcpOptions.LengthOf(options);
        if (options.HasMss) length += 4;
        // SACK-permitted takes the place of the two NOPs before timestamps.
        if (options.HasTimestamps) length += 12;
        else if (options.SackPermitted) length += 4;
        if (options.HasWindowScale) length += 4;
        if (options.HasUserTimeout) length += 4;
        length += (options.FastOpenLength + 3) & ~3;
        if (options.HasAccurateEcn) length += (options.AccurateEcn.Length + 3) & ~3;
        int blocks = FittingSackBlocks(options, length);
        return blocks == 0 ? length : length + 4 + 8 * blocks;
    }

    public static int Write(in TcpOptions options, Span<byte> destination, ReadOnlySpan<byte> fastOpenCookie)
    {
        // The usual segment first: timestamps alone, or nothing.
        if (options.SackBlockCount == 0 && (options.Flags & ~TcpOptionFlags.Timestamps) == 0)
        {
            return options.HasTimestamps ? WriteTimestamps(options, destination) : 0;
        }

        int length = LengthOf(options);
        if (length > TcpOptions.LengthMax || destination.Length < length) Overlay.ThrowTooShort();
        int at = options.HasSignature && !options.IsSignedLast ? WriteSignatureFrame(options, destination) : 0;
        if (options.IsPacked && options.HasMss) return at + PackedTcpOptions.Write(options, destination[at..length], fastOpenCookie);
        if (options.HasMss)
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination[at..], 0x0204_0000u | options.Mss);
            at += 4;
        }

        at += WriteSackPermittedAndTimestamps(options, destination[at..]);
        if (options.HasWindowScale)
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination[at..], 0x0103_0300u | options.WindowScale.Shift);
            at += 4;
        }

        if (options.HasUserTimeout)
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination[at..], 0x1C04_0000u | options.UserTimeoutField);
            at += 4;
        }

        if (options.HasFastOpen)
        {
            int end = at + WriteFastOpen(options, destination[at..], fastOpenCookie);
            // RFC 9293 MUST-69: padding behind the last option would be zeros. There is none: NOPs, which are options, fill the word.
            at = (end + 3) & ~3;
            destination[end..at].Fill(TcpOptionKind.NoOperation);
        }

        if (options.HasAccurateEcn) at += options.AccurateEcn.Write(destination[at..]);
        int blocks = FittingSackBlocks(options, at);
        return blocks == 0 ? at : at + WriteSack(options.SackBlocks[..blocks], destination[at..]);
    }

    // RFC 2018 §3: the option with its two NOPs takes 4 bytes and 8 a block.
    private static int FittingSackBlocks(in TcpOptions options, int lengthBefore) =>
        Math.Min(options.SackBlockCount, Math.Max(0, (TcpOptions.LengthMax - 4 - lengthBefore) / 8));

    // RFC 2385 §3.0, RFC 5925 §2.2. At the front, as Linux has it, so that the code always lies four bytes behind the header.
    private static int WriteSignatureFrame(in TcpOptions options, Span<byte> destination)
    {
        destination = destination[..options.SignatureLength];
        destination.Clear();
        BinaryPrimitives.WriteUInt32BigEndian(destination, options.HasMd5 ? 0x0101_1312 : 0x1D10_0000u | (uint)options.KeyId << 8 | options.NextKeyId);
        return destination.Length;
    }

    // RFC 7323 appendix A: NOP, NOP, TSopt.
    private static int WriteTimestamps(in TcpOptions options, Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination[8..], options.TsEcr);
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], options.TsVal);
        BinaryPrimitives.WriteUInt32BigEndian(destination, TcpOptions.AlignedTimestamps);
        return TcpOptions.TimestampsLength;
    }

    private static int WriteSackPermittedAndTimestamps(in TcpOptions options, Span<byte> destination)
    {
        if (options.HasTimestamps)
        {
            WriteTimestamps(options, destination);
            if (options.SackPermitted) BinaryPrimitives.WriteUInt16BigEndian(destination, 0x0402);
            return TcpOptions.TimestampsLength;
        }

        if (!options.SackPermitted) return 0;
        BinaryPrimitives.WriteUInt32BigEndian(destination, 0x0101_0402);
        return 4;
    }

    /// <summary>The fast open option alone (RFC 7413 §4.1.1).</summary>
    internal static int WriteFastOpen(in TcpOptions options, Span<byte> destination, ReadOnlySpan<byte> cookie)
    {
        if (cookie.Length != options.FastOpenCookieLength)
        {
            throw new ArgumentException("The fast open cookie has another length than the options say.", nameof(cookie));
        }

        int length = options.FastOpenLength;
        destination[0] = options.IsFastOpenExperimental ? TcpOptionKind.Experimental : TcpOptionKind.FastOpen;
        destination[1] = (byte)length;
        if (options.IsFastOpenExperimental) BinaryPrimitives.WriteUInt16BigEndian(destination[2..], TcpOptions.FastOpenExperiment);
        cookie.CopyTo(destination[(length - cookie.Length)..]);
        return length;
    }

    private static int WriteSack(ReadOnlySpan<SackBlock> blocks, Span<byte> destination)
    {
        int length = 2 + 8 * blocks.Length;
        BinaryPrimitives.WriteUInt32BigEndian(destination, 0x0101_0500u | (uint)length);
        for (int i = 0; i < blocks.Length; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination[(4 + 8 * i)..], blocks[i].Left.Value);
            BinaryPrimitives.WriteUInt32BigEndian(destination[(8 + 8 * i)..], blocks[i].Right.Value);
        }

        return 2 + length;
    }
}
