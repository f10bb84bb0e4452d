// A frame's description: where its bytes lie and what the link knows or must do about them. The bytes lie in chunks of a
// FramePool; the description is a value that moves. Whoever holds it owns the chunks; it is never counted or shared.
using System.Runtime.InteropServices;
using Peregrine.Core.Time;

namespace Peregrine.Core.Memory;

/// <summary>What is known of a frame's checksum or has to be done about it.</summary>
[Flags]
public enum FrameFlags : ushort
{
    /// <summary>Nothing is known.</summary>
    None = 0,

    /// <summary>Received: the link or its card has verified the transport checksum.</summary>
    ChecksumVerified = 1,

    /// <summary>
    /// The transport checksum field holds only the pseudo-header's sum: received, the sender's kernel left it unfinished (the bytes never
    /// crossed a wire and are good); to be sent, the link must finish it from <see cref="Frame.ChecksumStart"/>.
    /// </summary>
    ChecksumUnfinished = 2,

    /// <summary>A VLAN tag was stripped into <see cref="Frame.VlanTag"/>, or is to be inserted from it.</summary>
    VlanTag = 4,

    /// <summary>Received as link-layer broadcast or multicast.</summary>
    Broadcast = 8,

    /// <summary>To be sent: a segment of a super-segment carries CWR only in its first part (TSO with ECN).</summary>
    SegmentEcn = 16,

    /// <summary>
    /// To be sent: the first chunk holds the headers alone, and the payload lies where <see cref="FramePool.Pieces"/> says, in memory of the stack's
    /// that may be used for something else once its output is called transmitted. Only for links with <see cref="Links.LinkOffloads.Gather"/>.
    /// </summary>
    Gathered = 32,
}

/// <summary>A piece of a gathered frame's payload; laid out as struct iovec.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct FramePiece
{
    /// <summary>The first byte.</summary>
    public byte* Address;

    /// <summary>Bytes.</summary>
    public nuint Length;

    /// <summary>What lies there.</summary>
    public readonly ReadOnlySpan<byte> Bytes => new(Address, (int)Length);
}

/// <summary>What kind of super-segment a frame is.</summary>
public enum SegmentKind : byte
{
    /// <summary>An ordinary frame.</summary>
    None = 0,

    /// <summary>TCP over IPv4, to be cut (or merged from) segments of <see cref="Frame.SegmentSize"/> payload bytes.</summary>
    Tcp4 = 1,

    /// <summary>TCP over IPv6.</summary>
    Tcp6 = 2,

    /// <summary>UDP datagrams of <see cref="Frame.SegmentSize"/> payload bytes.</summary>
    Udp = 3,
}

/// <summary>A frame's description. All headers lie in the first chunk; more bytes may follow in chained chunks.</summary>
public struct Frame
{
    /// <summary>The first chunk, in the pool that the frame came from.</summary>
    public uint Chunk;

    /// <summary>Bytes of the frame in all chunks together.</summary>
    public int Length;

    /// <summary>Offset of the first byte in the first chunk.</summary>
    public ushort Offset;

    /// <summary>Bytes in the first chunk. What is beyond lies in the chain (<see cref="ChunkNote.Next"/>, <c>Start</c>, <c>Length</c>).</summary>
    public ushort HeadLength;

    /// <summary>Checksum state and more.</summary>
    public FrameFlags Flags;

    /// <summary>With <see cref="FrameFlags.ChecksumUnfinished"/>: where summing starts, from the frame's first byte.</summary>
    public ushort ChecksumStart;

    /// <summary>With <see cref="FrameFlags.ChecksumUnfinished"/>: where the sum goes, from <see cref="ChecksumStart"/>.</summary>
    public ushort ChecksumOffset;

    /// <summary>Payload bytes of each part of a super-segment; 0 in an ordinary frame.</summary>
    public ushort SegmentSize;

    /// <summary>Super-segment or not.</summary>
    public SegmentKind SegmentKind;

    /// <summary>Bytes of headers before the payload of a super-segment, or 0 when unknown.</summary>
    public byte HeaderLength;

    /// <summary>With <see cref="FrameFlags.VlanTag"/>: the tag control information.</summary>
    public ushort VlanTag;

    /// <summary>When the frame arrived, or zero.</summary>
    public Instant Arrival;

    /// <summary>Whether the frame has more than one chunk, or pieces.</summary>
    public readonly bool IsChained => Length > HeadLength;
}
