// struct virtio_net_hdr, ten bytes before each frame of a TAP device, and its translation from and to a frame's description.
// In the machine's byte order, which is what the device uses unless told otherwise; x64 and Arm64 Linux are both little-endian.
using System.Runtime.InteropServices;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers;

/// <summary>virtio 1.2 §5.1.6, without num_buffers.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = Size)]
internal struct VnetHeader
{
    public const int Size = 10;

    public const byte NeedsChecksum = 1, DataValid = 2;
    public const byte SegmentNone = 0, SegmentTcp4 = 1, SegmentTcp6 = 4, SegmentUdp = 5, SegmentEcn = 0x80;

    public byte Flags;
    public byte SegmentType;
    public ushort HeaderLength;
    public ushort SegmentSize;
    public ushort ChecksumStart;
    public ushort ChecksumOffset;

    /// <summary>
    /// Writes what the header says into a received frame whose lengths are set. False when it contradicts itself or the frame.
    /// The header's own length field is a hint that the kernel does not keep to, so <see cref="Frame.HeaderLength"/> stays unknown.
    /// </summary>
    public readonly bool TryDescribe(ref Frame frame)
    {
        if ((Flags & NeedsChecksum) != 0)
        {
            // The headers lie in the first chunk, and what is finished later is written there.
            if (ChecksumStart + ChecksumOffset + 2 > frame.HeadLength) return false;
            frame.Flags |= FrameFlags.ChecksumUnfinished;
            (frame.ChecksumStart, frame.ChecksumOffset) = (ChecksumStart, ChecksumOffset);
        }
        else if ((Flags & DataValid) != 0)
        {
            frame.Flags |= FrameFlags.ChecksumVerified;
        }
        if (SegmentType == SegmentNone) return true;
        if (SegmentSize == 0) return false;
        frame.SegmentKind = (SegmentType & ~SegmentEcn) switch
        {
            SegmentTcp4 => SegmentKind.Tcp4,
            SegmentTcp6 => SegmentKind.Tcp6,
            SegmentUdp => SegmentKind.Udp,
            _ => SegmentKind.None,
        };
        frame.SegmentSize = SegmentSize;
        if ((SegmentType & SegmentEcn) != 0) frame.Flags |= FrameFlags.SegmentEcn;
        return frame.SegmentKind != SegmentKind.None;
    }

    /// <summary>The header of a frame to be sent, shifted by <paramref name="inserted"/> bytes (a tag put in before the checksum's start).</summary>
    public static VnetHeader For(in Frame frame, int inserted)
    {
        VnetHeader header = default;
        if ((frame.Flags & FrameFlags.ChecksumUnfinished) != 0)
        {
            header.Flags = NeedsChecksum;
            header.ChecksumStart = (ushort)(frame.ChecksumStart + inserted);
            header.ChecksumOffset = frame.ChecksumOffset;
        }
        if (frame.SegmentKind == SegmentKind.None) return header;
        header.SegmentType = frame.SegmentKind switch
        {
            SegmentKind.Tcp4 => SegmentTcp4,
            SegmentKind.Tcp6 => SegmentTcp6,
            _ => SegmentUdp,
        };
        if ((frame.Flags & FrameFlags.SegmentEcn) != 0) header.SegmentType |= SegmentEcn;
        header.SegmentSize = frame.SegmentSize;
        header.HeaderLength = (ushort)(frame.HeaderLength == 0 ? 0 : frame.HeaderLength + inserted);
        return header;
    }
}
