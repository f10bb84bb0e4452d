// The authentication code of a TCP segment: MD5's over the parts that RFC 2385 §2.0 names, TCP-AO's over those of RFC 5925 §5.1. The segment lies
// in a frame, its header in the first chunk.
using System.Buffers.Binary;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>One of the algorithms, at work on a message.</summary>
internal struct SegmentMac
{
    /// <summary>Bytes of the longest code: MD5's.</summary>
    internal const int LengthMax = Md5.Length;

    /// <summary>RFC 5926 §3.2: TCP-AO's codes are cut to 96 bits.</summary>
    private const int TruncatedLength = 12;

    private const int ChecksumOffset = TcpHeader.ChecksumOffset;

    private TcpKeyAlgorithm _algorithm;
    private Md5 _md5;
    private HmacSha1 _hmac;
    private AesCmac _cmac;

    /// <summary>Bytes of the algorithm's code.</summary>
    internal static int LengthOf(TcpKeyAlgorithm algorithm) => algorithm == TcpKeyAlgorithm.Md5 ? Md5.Length : TruncatedLength;

    /// <summary>Computes the code of a segment.</summary>
    /// <param name="key">The key.</param>
    /// <param name="trafficKey">With TCP-AO: the traffic key.</param>
    /// <param name="extension">With TCP-AO: the sequence number extension.</param>
    /// <param name="source">Source address.</param>
    /// <param name="destination">Destination address.</param>
    /// <param name="segment">The segment; checksum and code count as zero, whatever they are.</param>
    /// <param name="mac">Where to write it: <see cref="LengthOf"/> bytes.</param>
    internal static void Compute(
        TcpKey key, ReadOnlySpan<byte> trafficKey, uint extension, in IpAddress source, in IpAddress destination, in SegmentBytes segment, Span<byte> mac)
    {
        var message = default(SegmentMac);
        message.Begin(key.Algorithm, trafficKey);
        if (!key.IsMd5) message.AppendNumber(extension);
        message.AppendPseudoHeader(source, destination, segment.Length);
        message.AppendHeader(key, segment);
        message.AppendPayload(segment);
        if (key.IsMd5) message.Append(key.Secret);
        message.Finish(mac);
    }

    /// <summary>The pseudo-random function of RFC 5926 §3.1.1 over an input.</summary>
    internal static void Derive(TcpKeyAlgorithm algorithm, ReadOnlySpan<byte> key, ReadOnlySpan<byte> input, Span<byte> output)
    {
        if (algorithm == TcpKeyAlgorithm.HmacSha1)
        {
            var hmac = default(HmacSha1);
            hmac.Begin(key);
            hmac.Append(input);
            hmac.Finish(output);
            return;
        }
        var cmac = default(AesCmac);
        cmac.Begin(key);
        cmac.Append(input);
        cmac.Finish(output);
    }

    private void Begin(TcpKeyAlgorithm algorithm, ReadOnlySpan<byte> key)
    {
        _algorithm = algorithm;
        switch (algorithm)
        {
            case TcpKeyAlgorithm.Md5:
                _md5.Begin();
                break;
            case TcpKeyAlgorithm.HmacSha1:
                _hmac.Begin(key);
                break;
            default:
                _cmac.Begin(key);
                break;
        }
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        switch (_algorithm)
        {
            case TcpKeyAlgorithm.Md5:
                _md5.Append(bytes);
                break;
            case TcpKeyAlgorithm.HmacSha1:
                _hmac.Append(bytes);
                break;
            default:
                _cmac.Append(bytes);
                break;
        }
    }

    private void Finish(Span<byte> mac)
    {
        Span<byte> whole = stackalloc byte[Sha1.Length];
        switch (_algorithm)
        {
            case TcpKeyAlgorithm.Md5:
                _md5.Finish(whole);
                break;
            case TcpKeyAlgorithm.HmacSha1:
                _hmac.Finish(whole);
                break;
            default:
                _cmac.Finish(whole);
                break;
        }
        whole[..LengthOf(_algorithm)].CopyTo(mac);
    }

    private void AppendNumber(uint number)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, number);
        Append(bytes);
    }

    // RFC 9293 §3.1, RFC 8200 §8.1: as for the checksum.
    private void AppendPseudoHeader(in IpAddress source, in IpAddress destination, int length)
    {
        Span<byte> addresses = stackalloc byte[32];
        var each = source.IsIPv4 ? 4 : 16;
        source.WriteTo(addresses);
        destination.WriteTo(addresses[each..]);
        Append(addresses[..(2 * each)]);
        if (source.IsIPv4)
        {
            AppendNumber(((uint)IpProtocol.Tcp << 16) | (uint)length);
            return;
        }
        AppendNumber((uint)length);
        AppendNumber(IpProtocol.Tcp);
    }

    private void AppendHeader(TcpKey key, in SegmentBytes segment)
    {
        Span<byte> header = stackalloc byte[TcpHeader.LengthMax];
        header = header[..segment.HeaderLength];
        segment.Header.CopyTo(header);
        header.Slice(ChecksumOffset, 2).Clear();
        // RFC 2385 §2.0: options are not covered.
        if (key.IsMd5)
        {
            Append(header[..TcpHeader.Length]);
            return;
        }
        var option = header.Slice(segment.OptionOffset, segment.OptionLength);
        option[4..].Clear();
        if (key.CoversOptions)
        {
            Append(header);
            return;
        }
        // RFC 5925 §3.1: the others are skipped, not zeroed.
        Append(header[..TcpHeader.Length]);
        Append(option);
    }

    private void AppendPayload(in SegmentBytes segment)
    {
        var (offset, left) = (segment.Start + segment.HeaderLength, segment.Length - segment.HeaderLength);
        var head = segment.Frames.Head(segment.Frame);
        if (offset < head.Length)
        {
            var count = Math.Min(left, head.Length - offset);
            Append(head.Slice(offset, count));
            (offset, left) = (head.Length, left - count);
        }
        var skip = offset - head.Length;
        var chunks = segment.Frames.Chunks;
        for (var chunk = chunks.Note(segment.Frame.Chunk).Next; left > 0 && chunk != ChunkPool.None; chunk = chunks.Note(chunk).Next)
        {
            var bytes = segment.Frames.ChunkSpan(chunk);
            var from = Math.Min(skip, bytes.Length);
            var count = Math.Min(left, bytes.Length - from);
            Append(bytes.Slice(from, count));
            (skip, left) = (skip - from, left - count);
        }
    }
}

/// <summary>Where a segment lies: in a frame, from <paramref name="start"/> on.</summary>
internal readonly ref struct SegmentBytes(FramePool frames, in Frame frame, int start, int length, int headerLength, int optionOffset, int optionLength)
{
    internal FramePool Frames { get; } = frames;

    internal Frame Frame { get; } = frame;

    /// <summary>Of the TCP header, from the frame's first byte.</summary>
    internal int Start { get; } = start;

    /// <summary>Bytes of header and payload.</summary>
    internal int Length { get; } = length;

    internal int HeaderLength { get; } = headerLength;

    /// <summary>Of the authentication option's kind, from the header's first byte.</summary>
    internal int OptionOffset { get; } = optionOffset;

    internal int OptionLength { get; } = optionLength;

    internal unsafe Span<byte> Header => new(Frames.Address(Frame) + Start, HeaderLength);

    /// <summary>The code within the option.</summary>
    internal Span<byte> Mac(bool isMd5) => Header.Slice(OptionOffset, OptionLength)[(isMd5 ? 2 : 4)..];
}
