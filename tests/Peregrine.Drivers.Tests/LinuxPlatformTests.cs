using Peregrine.Core.Links;
using Peregrine.Core.Time;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Tests;

public sealed unsafe class LinuxPlatformTests
{
    private readonly LinuxPlatform _platform = new();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void RegionIsZeroedWritableAndSaysWhatItIs(bool hugePages)
    {
        const int bytes = (3 << 20) + 5;
        using var region = _platform.MapRegion(bytes, hugePages);
        Assert.True(region.Length >= bytes);
        Assert.Equal(0u, region.Length % Posix.PageSize);
        Assert.False(new ReadOnlySpan<byte>(region.Base, bytes).ContainsAnyExcept((byte)0));
        new Span<byte>(region.Base, (int)region.Length).Fill(0xA5);
        Assert.Equal(0xA5, region.Base[bytes - 1]);
        Assert.Contains("pages", region.Description, StringComparison.Ordinal);
        Assert.Equal(region.Description.StartsWith("memfd", StringComparison.Ordinal), region.Descriptor >= 0);
        if (hugePages && region.Description.Contains("huge", StringComparison.Ordinal)) Assert.Equal(0u, (nuint)region.Base % (2u << 20));
    }

    [Fact]
    public void RegionWithoutHugePagesCanBeMappedAgainByItsDescriptor()
    {
        using var region = _platform.MapRegion(8192, hugePages: false);
        Assert.StartsWith("memfd, pages of", region.Description);
        region.Base[100] = 77;
        var second = Posix.Map(0, region.Length, MapFlags.Read, MapFlags.Shared, region.Descriptor).ThrowIfError("map").Value;
        Assert.Equal(77, ((byte*)second)[100]);
        Posix.Unmap(second, region.Length);
    }

    [Fact]
    public void DisposalUnmapsAndClosesTheDescriptor()
    {
        var region = _platform.MapRegion(8192, hugePages: false);
        var link = $"/proc/self/fd/{region.Descriptor}";
        Assert.Contains("memfd:peregrine", File.ResolveLinkTarget(link, false)!.Name, StringComparison.Ordinal);
        var address = $"{(nint)region.Base:x}-";
        Assert.Contains(address, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
        region.Dispose();
        Assert.DoesNotContain(address, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void ImpossibleRegionSaysWhatToDo()
    {
        var e = Assert.Throws<InsufficientMemoryException>(() => _platform.MapRegion((nuint)1 << 60, hugePages: true));
        Assert.Contains("lower the limits", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void EntropyFillsEverything()
    {
        // 64 KiB of which no 8 bytes are zero by chance (2^-51) but would be where nothing was written.
        var bytes = new byte[65_536];
        _platform.FillEntropy(bytes);
        var words = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(bytes);
        Assert.Equal(-1, words.IndexOf(0UL));
        Assert.NotEqual(words[0], words[1]);
    }

    [Fact]
    public void PinningBindsTheThreadToOneProcessor()
    {
        (bool First, bool Beyond, int Bits) got = default;
        var thread = new Thread(() =>
        {
            Span<ulong> mask = stackalloc ulong[16];
            Posix.GetAffinity(mask);
            var allowed = 0;
            while ((mask[allowed / 64] & (1UL << (allowed % 64))) == 0) allowed++;
            var pinned = _platform.PinCurrentThread(allowed);
            mask.Clear();
            Posix.GetAffinity(mask);
            var bits = 0;
            foreach (var word in mask) bits += System.Numerics.BitOperations.PopCount(word);
            got = (pinned, _platform.PinCurrentThread(1023) || _platform.PinCurrentThread(-1) || _platform.PinCurrentThread(5000), bits);
        });
        thread.Start();
        thread.Join();
        Assert.Equal((true, false, 1), got);
    }

    [Fact]
    public void WaitEndsWhenTheTimeHasPassed()
    {
        using var waiter = _platform.CreateWaiter();
        Assert.False(waiter.Wait([], Duration.Zero));
        Assert.False(waiter.Wait([-1], Duration.FromMicroseconds(50)));
        Assert.False(waiter.Wait([], new Duration(-5)));
    }

    [Fact]
    public void WakeBeforeWaitIsRememberedOnce()
    {
        using var waiter = _platform.CreateWaiter();
        waiter.Wake();
        waiter.Wake();
        Assert.True(waiter.Wait([], Duration.FromSeconds(100)));
        Assert.False(waiter.Wait([], Duration.Zero));
    }

    [Fact]
    public void ReadableDescriptorEndsTheWait()
    {
        using var waiter = _platform.CreateWaiter();
        var descriptor = Posix.CreateEvent().Int32;
        Assert.False(waiter.Wait([descriptor], Duration.Zero));
        ulong one = 1;
        Posix.Write(descriptor, &one, sizeof(ulong));
        Assert.True(waiter.Wait([-1, descriptor], new Duration(long.MaxValue)));
        Posix.Close(descriptor);
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void TooManyDescriptorsAreRefused()
    {
        using var waiter = _platform.CreateWaiter();
        Assert.Throws<ArgumentOutOfRangeException>(() => waiter.Wait(new int[65], Duration.Zero));
    }

    [Fact]
    public void NoWakeUpIsLostBetweenTwoThreads()
    {
        const int rounds = 100_000;
        using IWaiter here = _platform.CreateWaiter(), there = _platform.CreateWaiter();
        long ping = 0, pong = 0;
        var lost = 0;
        var thread = new Thread(() =>
        {
            for (var round = 1; round <= rounds; round++)
            {
                while (Volatile.Read(ref ping) < round)
                {
                    if (!there.Wait([], Duration.FromSeconds(60))) Interlocked.Increment(ref lost);
                }
                Volatile.Write(ref pong, round);
                here.Wake();
            }
        });
        thread.Start();
        for (var round = 1; round <= rounds && Volatile.Read(ref lost) == 0; round++)
        {
            Volatile.Write(ref ping, round);
            there.Wake();
            while (Volatile.Read(ref pong) < round && Volatile.Read(ref lost) == 0)
            {
                if (!here.Wait([], Duration.FromSeconds(60))) Interlocked.Increment(ref lost);
            }
        }
        Volatile.Write(ref ping, rounds);
        there.Wake();
        thread.Join();
        Assert.Equal((0, (long)rounds), (lost, pong));
    }
}
