using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Tests;

/// <summary>What differs between x64 and Arm64 is tested by what it does; these tests also run as Arm64 code.</summary>
public sealed unsafe class PosixTests
{
    private const int NotADirectory = 20, TooManyLinks = 40;

    [Fact]
    public void DirectoryFlagRefusesAFile()
    {
        Assert.Equal((Errno)NotADirectory, Posix.Open("/proc/self/status", OpenFlags.ReadOnly | OpenFlags.Directory).Errno);
        var folder = Posix.Open("/proc", OpenFlags.ReadOnly | OpenFlags.Directory);
        Assert.False(folder.IsError);
        Assert.False(Posix.Close(folder.Int32).IsError);
    }

    [Fact]
    public void NoFollowFlagRefusesASymbolicLink() =>
        Assert.Equal((Errno)TooManyLinks, Posix.Open("/proc/self", OpenFlags.ReadOnly | OpenFlags.NoFollow).Errno);

    [Fact]
    public void OpenedDescriptorsCloseOnExec()
    {
        var file = Posix.Open("/proc/self/status", OpenFlags.ReadOnly).ThrowIfError("open").Int32;
        Assert.Equal(1, LibC.FileControl(file, 1, 0));
        Posix.Close(file);
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void FailureKeepsItsErrnoAndExplainsItself()
    {
        var result = Posix.Open("/nonexistent", OpenFlags.ReadOnly);
        Assert.True(result.IsError);
        Assert.Equal((Errno.ENOENT, -1), (result.Errno, result.Int32));
        var e = Assert.Throws<IOException>(() => result.ThrowIfError("cannot open it"));
        Assert.Equal("cannot open it: No such file or directory (errno 2)", e.Message);
        Assert.Equal((int)Errno.ENOENT, e.HResult);
    }

    [Fact]
    public void SuccessHasAValueAndNoErrno()
    {
        var result = Posix.CreateEvent();
        Assert.Equal((false, Errno.None), (result.IsError, result.Errno));
        Assert.Equal(result.Int32, result.ThrowIfError("never").Int32);
        Assert.False(Posix.Close(result.Int32).IsError);
        // Never a descriptor closed twice: another thread may own its number by then.
        Assert.Equal(Errno.EBADF, Posix.Close(-1).Errno);
    }

    [Fact]
    public void EmptyEventDescriptorDoesNotBlock()
    {
        var descriptor = Posix.CreateEvent().Int32;
        ulong value;
        Assert.Equal(Errno.EAGAIN, Posix.Read(descriptor, &value, sizeof(ulong)).Errno);
        value = 3;
        Assert.Equal(8, Posix.Write(descriptor, &value, sizeof(ulong)).Int32);
        Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = descriptor, Events = LinuxConstants.PollIn }];
        Assert.Equal(1, Posix.Poll(poll, -1).Int32);
        Assert.Equal(LinuxConstants.PollIn, poll[0].Returned);
        Assert.Equal(8, Posix.Read(descriptor, &value, sizeof(ulong)).Int32);
        Assert.Equal(3UL, value);
        Posix.Close(descriptor);
    }

    [Fact]
    public void StructuresHaveTheKernelsSizes()
    {
        Assert.Equal((16, 8, 16, 40, 10), (sizeof(IoVector), sizeof(PollDescriptor), sizeof(TimeSpecification), sizeof(InterfaceRequest), sizeof(VnetHeader)));
        Assert.Equal(18, (int)Marshal.OffsetOf<InterfaceRequest>(nameof(InterfaceRequest.HardwareAddress)));
    }

    [Fact]
    public void PageSizeIsThePlatforms() => Assert.Equal((nuint)Environment.SystemPageSize, Posix.PageSize);

    [Fact]
    public void VectorsGatherAndScatter()
    {
        var file = Posix.CreateMemoryDescriptor("test", 0).Int32;
        byte* first = stackalloc byte[4], second = stackalloc byte[4];
        for (var i = 0; i < 4; i++) (first[i], second[i]) = ((byte)i, (byte)(i + 4));
        var vectors = stackalloc IoVector[2];
        vectors[0] = new IoVector { Base = first, Length = 4 };
        vectors[1] = new IoVector { Base = second, Length = 4 };
        Assert.Equal(8, Posix.WriteV(file, vectors, 2).Int32);
        var path = $"/proc/self/fd/{file}";
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7], File.ReadAllBytes(path));
        Posix.Close(file);
    }
}
