using System.Text;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Drivers.Xdp;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>The opener's loop on a thread, asked by its own client and by one that lies. The process around it is tested with the tool.</summary>
public sealed class OpenerTests
{
    [Fact]
    public void LinkSurvivesTheWayToTheOpener()
    {
        var settings = new LinkSettings { KernelAddresses = [IpPrefix.Parse("10.0.0.1/24"), IpPrefix.Parse("fd00::1/64")], BringUp = true, Offloads = false, Mtu = 9000, NetworkNamespace = "/run/netns/x" };
        var link = new LinkReopening(LinkSpecification.Parse("tap:a%d,queues=2,netns='a,b'"), "a7", settings, MayMake: true);
        var read = LinkReopening.Parse(link.ToText());
        Assert.Equal(("tap:a%d,queues=2,netns='a,b'", "a7", true), (read.Line.Source, read.Name, read.MayMake));
        Assert.Equal(settings.KernelAddresses, read.Settings.KernelAddresses);
        Assert.Equal(settings, read.Settings with { KernelAddresses = settings.KernelAddresses });
        Assert.Equal(new LinkSettings(), LinkReopening.Parse((link with { Settings = new LinkSettings() }).ToText()).Settings with { KernelAddresses = new LinkSettings().KernelAddresses });
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void NamesWithLineEndsAreRefused()
    {
        var link = new LinkReopening(LinkSpecification.Parse("tap:x"), "x", new LinkSettings { NetworkNamespace = "a\nb" }, MayMake: false);
        Assert.Contains("no line ends", Assert.Throws<ArgumentException>(link.ToText).Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void OnlyWhatWasNamedBeforeTheSealIsOpened()
    {
        using var opener = new OpenerFixture();
        const string refusal = "the privileged opener refuses that: it opens only links that were named to it at the start";
        // A link with a kind that has nothing to open again: enough to be on the list.
        var link = new LinkReopening(LinkSpecification.Parse("memory"), "m", new LinkSettings(), MayMake: false);
        Assert.Equal(refusal, opener.Ask("open 0"));
        Assert.Equal("ok 0", opener.Ask("allow " + link.ToText()));
        Assert.Equal(refusal, opener.Ask("open 0"));
        Assert.Equal("ok 0", opener.Ask("seal"));
        Assert.Equal("a link of the kind 'memory' cannot be opened again", opener.Ask("open 0"));
        Assert.All((string[])["allow " + link.ToText(), "open 1", "open -1", "open 4294967296", "open", "open 0 ", "open tap:eth0", "exec /bin/sh", " ", "opens 0", "register 0 4096 2048 0 0 0", "register"],
            question => Assert.Equal(refusal, opener.Ask(question)));
        Assert.Equal("ok 0", opener.Ask("seal"));
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void NonsenseIsAnsweredAndTheOpenerLivesOn()
    {
        using var opener = new OpenerFixture();
        var random = new Random(7);
        var bytes = new byte[LinkOpener.MessageBytesMax];
        for (var round = 0; round < 500; round++)
        {
            var length = random.Next(1, bytes.Length);
            random.NextBytes(bytes.AsSpan(0, length));
            var question = (round % 3 == 0 ? "allow " : round % 3 == 1 ? "open " : "") + Encoding.UTF8.GetString(bytes, 0, length / 4);
            Assert.False(opener.Ask(question).StartsWith("ok", StringComparison.Ordinal));
        }
        Assert.Equal("ok 0", opener.Ask("hello"));
    }

    [Fact]
    public void LoopEndsWithItsSocket()
    {
        var opener = new OpenerFixture();
        Assert.Equal("ok 0", opener.Ask("hello"));
        opener.Dispose();
        Assert.True(opener.HasEnded);
    }

    [Fact]
    public void TapLinkGetsItsDescriptorsFromTheOpener()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a TAP device needs root");
        using var process = new OpenerFixture();
        using var opener = process.Client();
        using var space = NetworkNamespace.Create();
        using var link = LinkFactory.Open("tap:op%d,queues=12", new LinkSettings { Opener = opener, NetworkNamespace = space.Path, KernelAddresses = [IpPrefix.Parse("10.93.0.1/24")], BringUp = true });
        opener.Seal();
        Assert.Equal((1, "op0"), (opener.LinkCount, link.Name));
        var pool = PoolFixture.Pool();
        var queues = Enumerable.Range(0, link.QueueCount).Select(index => link.OpenQueue(index, pool)).ToList();
        space.Run(() => KernelInterface.Delete("op0"));
        foreach (var queue in queues) queue.Receive(new Frame[1]);
        Assert.All(queues, static queue => Assert.Equal(-1, queue.PollDescriptor));
        Assert.All(queues, static queue => Assert.Equal(LinkPresence.Reopened, queue.Follow(out _)));
        Assert.All(queues, static queue => Assert.InRange(queue.PollDescriptor, 0, int.MaxValue));
        Assert.True(link.IsUp);
        // More descriptors than a message takes: all came, and each is another.
        Assert.Equal(12, queues.Select(static queue => queue.PollDescriptor).Distinct().Count());
        Assert.All(queues, queue => Assert.Equal("op0", NameOf(queue.PollDescriptor)));
        link.Dispose();
        Assert.Equal(pool.Chunks.Count, pool.Chunks.FreeCount);
    }

    [Fact]
    public void PacketLinkOfSeveralQueuesGetsItsSocketsFromTheOpener()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a pair of interfaces needs root");
        using var process = new OpenerFixture();
        using var opener = process.Client();
        using var space = NetworkNamespace.Create();
        space.Run(static () => KernelInterface.AddPair("op0", "op1"));
        using var link = LinkFactory.Open("packet:op0,queues=3,up,port=70,port=61000-61999", new LinkSettings { Opener = opener, NetworkNamespace = space.Path });
        // One socket by itself goes over to another interface without any right, and needs no opener.
        using var single = LinkFactory.Open("packet:op1", new LinkSettings { Opener = opener, NetworkNamespace = space.Path });
        opener.Seal();
        Assert.Equal(1, opener.LinkCount);
        var pool = PoolFixture.Pool();
        var queues = Enumerable.Range(0, link.QueueCount).Select(index => link.OpenQueue(index, pool)).ToList();
        var before = queues.ConvertAll(static queue => queue.PollDescriptor);
        space.Run(static () => KernelInterface.Delete("op0"));
        Assert.All(queues, static queue => Assert.Equal(LinkPresence.Gone, queue.Follow(out _)));
        space.Run(static () => KernelInterface.AddPair("op0", "op1"));
        Assert.All(queues, static queue => Assert.Equal(LinkPresence.Reopened, queue.Follow(out _)));
        Assert.Equal(3, queues.Select(static queue => queue.PollDescriptor).Distinct().Count());
        Assert.Empty(before.Intersect(queues.Select(static queue => queue.PollDescriptor)));
        // The opener has set it up, as the line says.
        Assert.True(space.Run(static () => MachineFacts.Read()).Interfaces.Single(static one => one.Name == "op0").IsUp);
        // Nobody else does: without it there is nothing to be had.
        opener.Dispose();
        space.Run(static () => KernelInterface.Delete("op0"));
        space.Run(static () => KernelInterface.AddPair("op0", "op1"));
        Assert.Equal(LinkPresence.Gone, queues[0].Follow(out var problem));
        Assert.Contains("opener has ended", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void XdpLinkGetsItsAttachmentAndItsSocketsFromTheOpener()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a pair of interfaces needs root");
        using var process = new OpenerFixture();
        using var opener = process.Client();
        using var space = NetworkNamespace.Create();
        space.Run(() => KernelInterface.AddPair("op0", "op1", queueCount: 2));
        using var link = (XdpLink)LinkFactory.Open("xdp:op0,queues=2,all", new LinkSettings { Opener = opener, NetworkNamespace = space.Path });
        opener.Seal();
        Assert.Equal(1, opener.LinkCount);
        // Memory with a descriptor is registered by the opener, other memory by whoever has it.
        using var region = new LinuxPlatform().MapRegion(ChunkPool.BytesFor(2_048, 256) + 65_536, hugePages: false);
        FramePool[] pools = [PoolFixture.Pool(), new(new ChunkPool(region, 2_048, 256, "memfd"))];
        var queues = Enumerable.Range(0, link.QueueCount).Select(index => link.OpenQueue(index, pools[index])).ToList();
        var mode = link.Mode;
        for (var round = 0; round < 3; round++)
        {
            space.Run(static () => KernelInterface.Delete("op0"));
            Assert.All(queues, static queue => Assert.Equal(LinkPresence.Gone, queue.Follow(out _)));
            Assert.All(queues, static queue => Assert.Equal(-1, queue.PollDescriptor));
            space.Run(() => KernelInterface.AddPair("op0", "op1", queueCount: 2));
            Assert.All(queues, queue => Assert.True(queue.Follow(out var problem) == LinkPresence.Reopened, problem));
            Assert.Equal(2, queues.Select(static queue => queue.PollDescriptor).Where(static descriptor => descriptor >= 0).Distinct().Count());
            Assert.Equal((mode, null), (link.Mode, link.LastFailure));
        }
        // An MTU at which frames take several chunks: the same interface, and other sockets.
        space.Run(static () => KernelInterface.SetMtu("op0", 4_000));
        Assert.All(queues, queue => Assert.True(queue.Follow(out var problem) == LinkPresence.There, problem));
        Assert.All(queues, static queue => Assert.InRange(queue.PollDescriptor, 0, int.MaxValue));
        Assert.DoesNotContain("checksums by the kernel", link.Mode, StringComparison.Ordinal);
        // Nobody else does it: without the opener the interface stays away.
        opener.Dispose();
        space.Run(static () => KernelInterface.Delete("op0"));
        space.Run(() => KernelInterface.AddPair("op0", "op1", queueCount: 2));
        Assert.Equal(LinkPresence.Gone, queues[0].Follow(out var reason));
        Assert.Contains("opener has ended", reason, StringComparison.Ordinal);
        link.Dispose();
        Assert.All(pools, static pool => Assert.Equal(pool.Chunks.Count, pool.Chunks.FreeCount));
    }

    [Fact]
    public unsafe void OpenerRegistersOnlyMemoryThatIsThere()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: AF_XDP needs root");
        using var region = new LinuxPlatform().MapRegion(65_536, hugePages: false);
        var socket = XdpSocket.Create(new XdpOptions());
        var good = new XdpUmemRegistration { Length = 32_768, ChunkSize = 2_048 };
        Assert.Equal(Errno.EINVAL, XdpOpening.Register(socket, region.Descriptor, good with { Address = 32_769 }).Errno);
        Assert.Equal(Errno.EINVAL, XdpOpening.Register(socket, region.Descriptor, good with { Length = ulong.MaxValue, Address = 4_096 }).Errno);
        Assert.Equal(Errno.EINVAL, XdpOpening.Register(socket, region.Descriptor, good with { Address = ulong.MaxValue }).Errno);
        Assert.True(XdpOpening.Register(socket, socket, good).IsError);
        Assert.True(XdpOpening.Register(region.Descriptor, region.Descriptor, good).IsError);
        using (var file = File.OpenHandle(typeof(OpenerTests).Assembly.Location)) Assert.True(XdpOpening.Register(socket, (int)file.DangerousGetHandle(), good).IsError);
        Assert.False(XdpOpening.Register(socket, region.Descriptor, good with { Address = 32_768 }).IsError);
        Posix.Close(socket);
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void OpenerThatIsGoneIsAnErrorAndNoWait()
    {
        var process = new OpenerFixture();
        using var opener = process.Client();
        opener.Seal();
        process.Dispose();
        opener.Dispose();
        Assert.Contains("has ended", Assert.Throws<IOException>(opener.Seal).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("net", 3)]
    [InlineData("web", 4)]
    [InlineData("unknown", 5)]
    [InlineData("0", 0)]
    public void DescriptorsAreFoundByNumberAndByName(string text, int expected)
    {
        var variables = new Dictionary<string, string> { ["LISTEN_PID"] = "42", ["LISTEN_FDS"] = "3", ["LISTEN_FDNAMES"] = "net:web" };
        Assert.Equal(expected, LauncherDescriptors.Find(text, variables.GetValueOrDefault, 42));
    }

    [Theory]
    [InlineData("42", "1", "net", "the launcher passed net")]
    [InlineData("41", "1", "nt", "or start from a launcher")]
    [InlineData("42", "-1", "nt", "or start from a launcher")]
    [InlineData("42", "9999999", "nt", "or start from a launcher")]
    [InlineData(null, null, null, "or start from a launcher")]
    [Trait("emulation", "throws")]
    public void NameThatNoLauncherGaveIsRefused(string? pid, string? count, string? names, string message)
    {
        var variables = new Dictionary<string, string?> { ["LISTEN_PID"] = pid, ["LISTEN_FDS"] = count, ["LISTEN_FDNAMES"] = names };
        Assert.Contains(message, Assert.Throws<ArgumentException>(() => LauncherDescriptors.Find("nt2", variables.GetValueOrDefault, 42)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tap:fd=999999", "is not open")]
    [InlineData("tap:fd=0,queues=2", "'queues' is for a device that is opened here")]
    [InlineData("tap", "the name is missing: tap:NAME, or tap:fd=DESCRIPTOR")]
    [InlineData("tap:x,fd=0", "has its name already")]
    [Trait("emulation", "throws")]
    public void WrongLinesWithDescriptorsAreRefused(string line, string message) =>
        Assert.Contains(message, Assert.Throws<ArgumentException>(() => LinkFactory.Open(line)).Message, StringComparison.Ordinal);

    [Fact]
    public void OpenDescriptorBecomesALink()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a TAP device needs root");
        using var space = NetworkNamespace.Create();
        var descriptors = space.Run(static () => TapDevice.OpenAll("given0", new TapOptions { QueueCount = 2 }));
        using var link = LinkFactory.Open($"tap:fd={descriptors[0]},fd={descriptors[1]}");
        Assert.Equal(("given0", 2, LinkMedium.Ethernet), (link.Name, link.QueueCount, link.Medium));
        using var queue = link.OpenQueue(1, PoolFixture.Pool());
        Assert.Equal(descriptors[1], queue.PollDescriptor);
    }

    private static string NameOf(int descriptor)
    {
        InterfaceRequest request = default;
        Posix.IoControl(descriptor, InterfaceControl.GetInterface, ref request).ThrowIfError("TUNGETIFF");
        return request.NameText();
    }

    /// <summary>The opener's loop, on a thread instead of in a process.</summary>
    private sealed class OpenerFixture : IDisposable
    {
        private readonly Thread _thread;
        private readonly int _theirs;
        private int _ours;

        public OpenerFixture()
        {
            Span<int> pair = stackalloc int[2];
            UnixSocket.CreatePair(UnixSocket.SequencedPackets, pair).ThrowIfError("socketpair");
            (_ours, _theirs) = (pair[0], pair[1]);
            _thread = new Thread(() => OpenerProcess.Serve(_theirs));
            _thread.Start();
        }

        public bool HasEnded => !_thread.IsAlive;

        /// <summary>The client, which owns the socket.</summary>
        public LinkOpener Client()
        {
            var client = new LinkOpener(_ours, null);
            _ours = -1;
            return client;
        }

        public string Ask(string question)
        {
            UnixSocket.Send(_ours, Encoding.UTF8.GetBytes(question), []).ThrowIfError("send");
            var answer = new byte[LinkOpener.MessageBytesMax];
            var length = UnixSocket.Receive(_ours, answer, [], out _, wait: true).ThrowIfError("receive").Int32;
            return Encoding.UTF8.GetString(answer, 0, length);
        }

        public void Dispose()
        {
            if (_ours < 0) return;
            Posix.Close(_ours);
            _ours = -1;
            _thread.Join();
            Posix.Close(_theirs);
        }
    }
}
