// One direction of one queue of a memory link: a bounded ring with one producer and one consumer. It carries descriptions; the bytes
// stay in the producer's chunks until the consumer has copied them, and the producer takes its chunks back afterwards.
// Two threads at most, no locks: indexes by acquire and release, the two sleep flags and closing by full fences.
using System.Runtime.InteropServices;
using System.Threading;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Links;

internal sealed class FrameRing
{
    private readonly Frame[] _slots;
    private readonly int _mask;
    private Indexes _indexes;
    private FramePool? _sourcePool;
    private Action? _wakeConsumer, _wakeProducer;

    public FrameRing(int capacity)
    {
        _slots = new Frame[capacity];
        _mask = capacity - 1;
    }

    /// <summary>The pool that the frames in the ring belong to. Written by the producer before its first frame.</summary>
    public FramePool SourcePool
    {
        get => _sourcePool!;
        set => _sourcePool = value;
    }

    public bool IsClosed => Volatile.Read(ref _indexes.Closed) != 0;

    public bool HasFrames => !IsClosed && Volatile.Read(ref _indexes.Tail) != Volatile.Read(ref _indexes.Head);

    /// <summary>Producer: whether a frame could be put in, once consumed ones are taken back.</summary>
    public bool HasRoom => _indexes.Tail - Volatile.Read(ref _indexes.Head) <= (uint)_mask;

    public void SetConsumerWake(Action wake) => Volatile.Write(ref _wakeConsumer, wake);

    public void SetProducerWake(Action wake) => Volatile.Write(ref _wakeProducer, wake);

    /// <summary>Producer: writes a slot that <see cref="Publish"/> will show. False when the ring is full.</summary>
    public bool TryPut(in Frame frame)
    {
        ref var at = ref _indexes.Unpublished;
        if (at - _indexes.Reclaimed > (uint)_mask)
        {
            Reclaim();
            if (at - _indexes.Reclaimed > (uint)_mask) return false;
        }
        _slots[at & (uint)_mask] = frame;
        at++;
        return true;
    }

    /// <summary>Producer: shows what was put since the last time, and wakes a consumer that sleeps.</summary>
    public void Publish()
    {
        if (_indexes.Tail == _indexes.Unpublished) return;
        Volatile.Write(ref _indexes.Tail, _indexes.Unpublished);
        // The consumer arms and then looks at Tail; we write Tail and then look at the flag. Without the fence both could look too early.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _indexes.ConsumerArmed) != 0 && Interlocked.Exchange(ref _indexes.ConsumerArmed, 0) != 0)
            Volatile.Read(ref _wakeConsumer)?.Invoke();
    }

    /// <summary>Producer: gives the chunks of consumed frames back to its pool.</summary>
    public void Reclaim()
    {
        var head = Volatile.Read(ref _indexes.Head);
        for (; _indexes.Reclaimed != head; _indexes.Reclaimed++) _sourcePool!.Return(_slots[_indexes.Reclaimed & (uint)_mask]);
    }

    /// <summary>Consumer: how many frames wait. While it works on them, the producer must not take them away (see <see cref="Enter"/>).</summary>
    public int Waiting => (int)(Volatile.Read(ref _indexes.Tail) - _indexes.Head);

    /// <summary>Consumer: the frame that waits at <paramref name="index"/> from the front.</summary>
    public ref readonly Frame Peek(int index) => ref _slots[(_indexes.Head + (uint)index) & (uint)_mask];

    /// <summary>Consumer: has copied <paramref name="count"/> frames; wakes a producer that sleeps for want of room.</summary>
    public void Consume(int count)
    {
        Volatile.Write(ref _indexes.Head, _indexes.Head + (uint)count);
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _indexes.ProducerArmed) != 0 && Interlocked.Exchange(ref _indexes.ProducerArmed, 0) != 0)
            Volatile.Read(ref _wakeProducer)?.Invoke();
    }

    /// <summary>Consumer: begins to look at frames. False when the producer has closed the ring, and nothing in it may be touched.</summary>
    public bool Enter()
    {
        Interlocked.Exchange(ref _indexes.Reading, 1);
        if (!IsClosed) return true;
        Leave();
        return false;
    }

    /// <summary>Consumer: no longer looks at frames.</summary>
    public void Leave() => Volatile.Write(ref _indexes.Reading, 0);

    /// <summary>Consumer: will sleep until frames come. Look at <see cref="HasFrames"/> afterwards.</summary>
    public void ArmConsumer() => Interlocked.Exchange(ref _indexes.ConsumerArmed, 1);

    /// <summary>Producer: will sleep until there is room. Look at <see cref="HasRoom"/> afterwards.</summary>
    public void ArmProducer() => Interlocked.Exchange(ref _indexes.ProducerArmed, 1);

    public void DisarmConsumer() => Volatile.Write(ref _indexes.ConsumerArmed, 0);

    public void DisarmProducer() => Volatile.Write(ref _indexes.ProducerArmed, 0);

    /// <summary>Producer: takes all its frames back. Waits for the consumer to finish the burst that it may be copying.</summary>
    public void Close()
    {
        if (IsClosed) return;
        Interlocked.Exchange(ref _indexes.Closed, 1);
        var spin = default(SpinWait);
        while (Volatile.Read(ref _indexes.Reading) != 0) spin.SpinOnce();
        for (; _indexes.Reclaimed != _indexes.Unpublished; _indexes.Reclaimed++) _sourcePool!.Return(_slots[_indexes.Reclaimed & (uint)_mask]);
    }

    // Who spins on an index takes its cache line away from whoever writes it. So the two that are waited for lie alone, and what only one side
    // uses for each frame lies elsewhere; 128 bytes apart, the largest cache line there is.
    [StructLayout(LayoutKind.Explicit, Size = 768)]
    private struct Indexes
    {
        [FieldOffset(128)] public uint Tail;
        [FieldOffset(132)] public int Closed;
        [FieldOffset(256)] public uint Head;
        [FieldOffset(384)] public uint Unpublished;
        [FieldOffset(388)] public uint Reclaimed;
        [FieldOffset(512)] public int Reading;
        [FieldOffset(640)] public int ConsumerArmed;
        [FieldOffset(644)] public int ProducerArmed;
    }
}
