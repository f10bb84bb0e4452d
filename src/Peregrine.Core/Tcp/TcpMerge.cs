// Merging of received segments (generic receive offload, as Linux calls it): segments of one burst that continue each other become one long
// segment before the state machine sees them, so that bulk data pay for demultiplexing, RFC 9293's steps and the queues once for many frames.
// For links that do not merge by themselves. No byte is copied: the later frame's chunk joins the earlier frame's chain.
//
// Only what the state machine could not tell from one segment of that length is merged: same tuple, same acknowledgment, window, flags,
// traffic class and timestamps, sequence numbers without a gap, each part but the last of the same size. A PSH ends the run; any other
// flag, an option beside timestamps, a mark of congestion or a wrong checksum keeps a segment by itself.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed unsafe class TcpMerge
{
    /// <summary>Packets of the burst, from the last one back, among which a segment's predecessor is sought: flows that interleave more finely are not merged.</summary>
    private const int LookBackCount = 4;

    /// <summary>Most bytes of transport header and payload that a run has: what an IPv4 packet can have.</summary>
    private const int LengthMax = 65_535 - IPv4Header.Length;

    private const int HeaderWithTimestamps = TcpHeader.Length + TcpOptions.TimestampsLength;

    private readonly TcpContext _x;
    private readonly uint[] _lastChunks;

    /// <param name="context">The layer's common things.</param>
    /// <param name="burstCountMax">Packets of a burst.</param>
    internal TcpMerge(TcpContext context, int burstCountMax) => (_x, _lastChunks) = (context, new uint[burstCountMax]);

    /// <summary>Makes a packet a part of the one that it continues; false when it stays by itself.</summary>
    /// <param name="burst">The burst so far.</param>
    /// <param name="hashes">The hash of each, 0 for what is not TCP.</param>
    /// <param name="packet">The packet; when true comes back, its frame has a new owner.</param>
    /// <param name="hash">Its hash.</param>
    internal bool TryMerge(Span<ReceivedPacket> burst, ReadOnlySpan<ulong> hashes, ref ReceivedPacket packet, ulong hash)
    {
        if (hash == 0 || !IsAmongLast(hashes[..burst.Length], hash)) return false;
        for (var i = burst.Length - 1; i >= 0 && i >= burst.Length - LookBackCount; i--)
        {
            // The nearest packet of the flow or none: an earlier one would be out of order behind it.
            if (hashes[i] == hash) return TryAppend(ref burst[i], ref _lastChunks[i], ref packet);
        }
        return false;
    }

    // Most segments of a burst continue none: as many comparisons at once as are looked back say so.
    private static bool IsAmongLast(ReadOnlySpan<ulong> hashes, ulong hash) =>
        hashes.Length < LookBackCount || Vector256.EqualsAny(Vector256.Create(hashes[^LookBackCount..]), Vector256.Create(hash));

    private bool TryAppend(ref ReceivedPacket head, ref uint lastChunk, ref ReceivedPacket tail)
    {
        if (!IsPlain(tail) || (head.MergedCount == 0 && !IsPlain(head))) return false;
        var first = _x.Frames.Address(head.Frame) + head.TransportOffset;
        var next = _x.Frames.Address(tail.Frame) + tail.TransportOffset;
        if (!IsSameFlow(head, tail) || !HasSameFields(first, next)) return false;
        var headerLength = (first[12] >> 4) * 4;
        var (length, more) = (head.TransportLength - headerLength, tail.TransportLength - headerLength);
        if (length <= 0 || more <= 0 || head.TransportLength + more > LengthMax) return false;
        if (headerLength != TcpHeader.Length && (headerLength != HeaderWithTimestamps || !HasSameTimestamps(first, next))) return false;
        var size = head.MergedCount == 0 ? length : head.Frame.SegmentSize;
        if (more > size || length % size != 0) return false;
        if (ReadSeq(first) + (uint)length != ReadSeq(next)) return false;
        if (!IsGood(ref head) || !IsGood(ref tail)) return false;
        Append(ref head, ref lastChunk, tail, headerLength, size);
        // RFC 9293 §3.9.1.2: what is pushed is pushed with all that lies before it.
        first[13] |= (byte)(next[13] & (byte)TcpFlags.Psh);
        return true;
    }

    /// <summary>One chunk that ends where the packet does, at most with padding; not a fragment, not a group's, not merged or cut by a link.</summary>
    private bool IsPlain(in ReceivedPacket packet) =>
        !packet.Frame.IsChained && packet.Frame.SegmentSize == 0 && !packet.IsGroup && !packet.WasFragmented
        && packet.TransportLength >= TcpHeader.Length && packet.TransportOffset + packet.TransportLength <= packet.Frame.HeadLength
        && _x.Frames.Chunks.Note(packet.Frame.Chunk).Next == ChunkPool.None;

    // A mark of congestion (RFC 3168: 3) is counted segment by segment.
    private static bool IsSameFlow(in ReceivedPacket head, in ReceivedPacket tail) =>
        head.TrafficClass == tail.TrafficClass && (tail.TrafficClass & 3) != 3 && head.HopLimit == tail.HopLimit
        && head.Source == tail.Source && head.Destination == tail.Destination;

    // Ports, acknowledgment, data offset with the reserved bits, window, the bits of ECN; ACK and nothing else but PSH, and none where more is
    // to follow.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool HasSameFields(byte* first, byte* next) =>
        Read(first) == Read(next) && Read(first + 8) == Read(next + 8) && first[12] == next[12] && first[14] == next[14] && first[15] == next[15]
        && (first[13] & ~EcnBits) == (int)TcpFlags.Ack && (next[13] & ~(int)TcpFlags.Psh) == first[13];

    private const int EcnBits = (int)(TcpFlags.Ece | TcpFlags.Cwr);

    private static bool HasSameTimestamps(byte* first, byte* next) =>
        System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(new ReadOnlySpan<byte>(first + TcpHeader.Length, 4)) == TcpOptions.AlignedTimestamps
        && Read(first + 20) == Read(next + 20) && Read(first + 24) == Read(next + 24) && Read(first + 28) == Read(next + 28);

    private static uint Read(byte* at) => Unsafe.ReadUnaligned<uint>(at);

    private static SeqNumber ReadSeq(byte* header) => new(System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(new ReadOnlySpan<byte>(header + 4, 4)));

    // RFC 9293 MUST-3 holds for each part: its checksum says nothing of the others.
    private bool IsGood(ref ReceivedPacket packet)
    {
        if (packet.ChecksumGood) return true;
        return packet.ChecksumGood = TcpReceiver.IsChecksumGood(_x.Frames, packet);
    }

    private void Append(ref ReceivedPacket head, ref uint lastChunk, in ReceivedPacket tail, int headerLength, int size)
    {
        ref var frame = ref head.Frame;
        if (head.MergedCount == 0)
        {
            // Padding behind the packet would lie in the middle now.
            frame.HeadLength = (ushort)(head.TransportOffset + head.TransportLength);
            frame.Length = frame.HeadLength;
            frame.SegmentSize = (ushort)size;
            lastChunk = frame.Chunk;
        }
        ref var note = ref _x.Frames.Chunks.Note(tail.Frame.Chunk);
        note.Start = (ushort)(tail.Frame.Offset + tail.TransportOffset + headerLength);
        note.Length = (ushort)(tail.TransportLength - headerLength);
        _x.Frames.Chunks.Note(lastChunk).Next = tail.Frame.Chunk;
        lastChunk = tail.Frame.Chunk;
        frame.Length += note.Length;
        head.TransportLength += note.Length;
        head.MergedCount++;
        _x.Counters.SegmentsMerged++;
    }
}
