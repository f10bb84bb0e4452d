// The client's side of a ring pair with buffers of its own in region 0, one a slot, in and out of which frames are copied. The memory
// is ours, so nothing that the peer writes says where anything lies: of its words only indexes, lengths and the chain flag are used.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Memif;

/// <summary>Packets from the server: we offer buffers by advancing head, the server fills them and advances tail.</summary>
internal sealed unsafe class MemifClientReceiver : MemifReceiver
{
    private readonly uint _buffers;
    private ushort _head, _tail;

    public MemifClientReceiver(MemifSession session, MemifRing ring, FramePool frames, MemifLimits limits, uint buffers)
        : base(session, ring, frames, limits)
    {
        _buffers = buffers;
        for (var i = 0; i < ring.Count; i++) Offer();
        ring.StoreHead(_head);
    }

    public override bool HasFrames => Ring.LoadTail() != _tail;

    public override int Receive(Span<Frame> burst, ref LinkQueueCounters counters)
    {
        int filled = (ushort)(Ring.LoadTail() - _tail);
        if (filled == 0) return 0;
        if (filled > (ushort)(_head - _tail))
        {
            counters.ReceiveErrors++;
            Session.Fail("tail lies outside of the ring");
            return 0;
        }
        var received = 0;
        while (received < burst.Length && filled > 0)
        {
            var assembly = new FrameAssembly(Frames);
            var used = Take(ref assembly, filled, out var isWellFormed);
            filled -= used;
            if (TryFinish(ref assembly, isWellFormed, ref counters)) burst[received++] = assembly.Frame;
            for (; used > 0; used--) Offer();
        }
        Ring.StoreHead(_head);
        counters.ReceivedFrames += received;
        return received;
    }

    private int Take(ref FrameAssembly assembly, int filled, out bool isWellFormed)
    {
        isWellFormed = true;
        for (var used = 1; ; used++)
        {
            var slot = _tail & (Ring.Count - 1);
            var descriptor = Ring.Load(_tail++);
            if (descriptor.Length > Session.BufferSize || descriptor.Length > (uint)(Limits.Longest - assembly.Frame.Length)) isWellFormed = false;
            if (isWellFormed) assembly.Append(Session.Regions[0].Base + _buffers + ((uint)slot * Session.BufferSize), (int)descriptor.Length);
            if (!descriptor.HasNext) return used;
            if (used < filled) continue;
            isWellFormed = false;
            return used;
        }
    }

    private void Offer()
    {
        var slot = (uint)(_head & (Ring.Count - 1));
        Ring.Store(_head++, 0, 0, Session.BufferSize, _buffers + (slot * Session.BufferSize));
    }
}

/// <summary>Packets to the server: we advance head, the server advances tail.</summary>
internal sealed unsafe class MemifClientSender(MemifSession session, MemifRing ring, FramePool frames, MemifLimits limits, uint buffers)
    : MemifSender(session, ring, frames, limits)
{
    private ushort _head, _tail;

    public override int Transmit(ReadOnlySpan<Frame> burst, ref LinkQueueCounters counters)
    {
        var tail = Ring.LoadTail();
        if ((ushort)(tail - _tail) > (ushort)(_head - _tail))
        {
            Session.Fail("tail lies outside of the ring");
            return 0;
        }
        _tail = tail;
        var free = Ring.Count - (ushort)(_head - tail);
        int taken = 0, sent = 0;
        for (; taken < burst.Length; taken++)
        {
            ref readonly var frame = ref burst[taken];
            var needed = (int)(((uint)frame.Length + Session.BufferSize - 1) / Session.BufferSize);
            if (!IsSendable(frame) || needed > Ring.Count)
            {
                Drop(frame, ref counters);
                continue;
            }
            if (needed > free) break;
            if (needed == 1) PutWhole(frame);
            else PutParts(frame);
            free -= needed;
            sent++;
            counters.SentBytes += frame.Length;
            Frames.Return(frame);
        }
        counters.SentFrames += sent;
        if (sent == 0) return taken;
        Ring.StoreHead(_head);
        Signal(ref counters);
        return taken;
    }

    private void PutWhole(in Frame frame)
    {
        var offset = buffers + ((uint)(_head & (Ring.Count - 1)) * Session.BufferSize);
        CopyWhole(frame, Session.Regions[0].Base + offset);
        Ring.Store(_head++, 0, 0, (uint)frame.Length, offset);
    }

    private void PutParts(Frame frame)
    {
        if ((frame.Flags & FrameFlags.ChecksumUnfinished) != 0) FrameChecksum.TryFinish(Frames, ref frame);
        for (var copied = 0; copied < frame.Length;)
        {
            var slot = (uint)(_head & (Ring.Count - 1));
            var offset = buffers + (slot * Session.BufferSize);
            var n = (int)Math.Min(Session.BufferSize, (uint)(frame.Length - copied));
            Frames.CopyTo(frame, copied, new Span<byte>(Session.Regions[0].Base + offset, n));
            copied += n;
            Ring.Store(_head++, copied < frame.Length ? MemifDescriptor.FlagNext : (ushort)0, 0, (uint)n, offset);
        }
    }
}
