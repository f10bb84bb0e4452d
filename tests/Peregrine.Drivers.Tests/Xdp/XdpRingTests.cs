using System.Threading;
using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;
using Peregrine.Drivers.Xdp;

namespace Peregrine.Drivers.Tests;

/// <summary>The rings on plain memory, without a card and without root; these tests also run as Arm64 code.</summary>
public sealed unsafe class XdpRingTests : IDisposable
{
    private const int Count = 8;

    private readonly byte* _memory = (byte*)NativeMemory.AllocZeroed(4096);

    private XdpRingMemory Ring => XdpRingMemory.At(_memory, new XdpRingOffsets { Producer = 0, Consumer = 128, Flags = 256, Entries = 512 }, Count);

    private ref uint Producer => ref *(uint*)_memory;

    private ref uint Consumer => ref *(uint*)(_memory + 128);

    private ref uint Flags => ref *(uint*)(_memory + 256);

    public void Dispose() => NativeMemory.Free(_memory);

    [Fact]
    public void NothingIsSeenBeforeItIsPublished()
    {
        var producer = new XdpProducer<ulong>(Ring);
        var consumer = new XdpConsumer<ulong>(Ring);
        Assert.Equal(Count, producer.Room(Count));
        producer.Next() = 7;
        Assert.False(consumer.HasEntries);
        Assert.Equal(0, consumer.Available(Count));
        producer.Publish();
        Assert.True(consumer.HasEntries);
        Assert.Equal(1, consumer.Available(Count));
        Assert.Equal(7UL, consumer.Next());
        Assert.Equal((1u, 0u), (Producer, Consumer));
        consumer.Release();
        Assert.Equal(1u, Consumer);
        Assert.False(consumer.HasEntries);
    }

    [Fact]
    public void FullRingHasNoRoomUntilTheOtherSideReleases()
    {
        var producer = new XdpProducer<ulong>(Ring);
        var consumer = new XdpConsumer<ulong>(Ring);
        for (var i = 0; i < Count; i++) producer.Next() = (ulong)i;
        producer.Publish();
        Assert.Equal((0, Count), (producer.Room(1), producer.Waiting));
        Assert.Equal(3, consumer.Available(3));
        for (var i = 0; i < 3; i++) Assert.Equal((ulong)i, consumer.Next());
        Assert.Equal(0, producer.Room(1));
        consumer.Release();
        Assert.Equal((3, Count - 3), (producer.Room(1), producer.Waiting));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(uint.MaxValue - 3)]
    [InlineData(0x7FFF_FFFDu)]
    public void IndexesRunOverTheirEnd(uint start)
    {
        (Producer, Consumer) = (start, start);
        var producer = new XdpProducer<XdpDescriptor>(Ring);
        var consumer = new XdpConsumer<XdpDescriptor>(Ring);
        for (var round = 0u; round < 40; round++)
        {
            Assert.True(producer.Room(5) >= 5);
            for (var i = 0u; i < 5; i++) producer.Next() = new XdpDescriptor { Address = (round * 5) + i, Length = i };
            producer.Publish();
            Assert.Equal(5, consumer.Available(Count));
            for (var i = 0u; i < 5; i++)
            {
                ref readonly var got = ref consumer.Next();
                Assert.Equal(((round * 5) + i, i), ((uint)got.Address, got.Length));
            }
            consumer.Release();
        }
        Assert.Equal(unchecked(start + 200), Producer);
    }

    [Fact]
    public void WakeupIsWantedOnlyWhileTheFlagSaysSo()
    {
        var producer = new XdpProducer<ulong>(Ring);
        Assert.False(producer.NeedsWakeup);
        Flags = 1;
        Assert.True(producer.NeedsWakeup);
        Flags = 2;
        Assert.False(producer.NeedsWakeup);
    }

    [Fact]
    public void TwoThreadsPassEveryEntryInOrder()
    {
        const ulong last = 200_000;
        var ring = Ring;
        var thread = new Thread(() =>
        {
            var producer = new XdpProducer<XdpDescriptor>(ring);
            for (var value = 1UL; value <= last;)
            {
                if (producer.Room(1) == 0)
                {
                    Thread.Yield();
                    continue;
                }
                // Three words that must be seen together.
                producer.Next() = new XdpDescriptor { Address = value, Length = (uint)value, Options = ~(uint)value };
                producer.Publish();
                value++;
            }
        });
        thread.Start();
        var consumer = new XdpConsumer<XdpDescriptor>(ring);
        var torn = 0;
        for (var expected = 1UL; expected <= last;)
        {
            var n = consumer.Available(Count);
            if (n == 0) Thread.Yield();
            for (var i = 0; i < n; i++, expected++)
            {
                ref readonly var got = ref consumer.Next();
                if (got.Address != expected || got.Length != (uint)expected || got.Options != ~(uint)expected) torn++;
            }
            if (n > 0) consumer.Release();
        }
        thread.Join();
        Assert.Equal(0, torn);
    }
}
