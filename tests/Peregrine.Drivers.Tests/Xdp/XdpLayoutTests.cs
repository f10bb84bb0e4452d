using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;
using Peregrine.Drivers.Xdp;

namespace Peregrine.Drivers.Tests;

/// <summary>
/// Sizes and offsets as a C compiler printed them from linux/if_xdp.h, once with Debian's headers for x64 and once with those of
/// linux-libc-dev-arm64-cross; the two differed in the number of the system call only. These tests also run as Arm64 code.
/// </summary>
public sealed class XdpLayoutTests
{
    [Fact]
    public void StructsAreAsLargeAsTheKernels() => Assert.Equal(
        (16, 32, 128, 32, 48, 16),
        (Unsafe.SizeOf<XdpAddress>(), Unsafe.SizeOf<XdpRingOffsets>(), Unsafe.SizeOf<XdpMapOffsets>(), Unsafe.SizeOf<XdpUmemRegistration>(),
            Unsafe.SizeOf<XdpStatistics>(), Unsafe.SizeOf<XdpDescriptor>()));

    [Fact]
    public void FieldsLieWhereTheKernelsDo() => Assert.Equal(
        (4, 12, 24, 64, 24, 40, 8, 12),
        (Offset<XdpAddress>(nameof(XdpAddress.InterfaceIndex)), Offset<XdpAddress>(nameof(XdpAddress.SharedUmemDescriptor)),
            Offset<XdpRingOffsets>(nameof(XdpRingOffsets.Flags)), Offset<XdpMapOffsets>(nameof(XdpMapOffsets.Fill)),
            Offset<XdpUmemRegistration>(nameof(XdpUmemRegistration.Flags)), Offset<XdpStatistics>(nameof(XdpStatistics.TransmitRingEmpty)),
            Offset<XdpDescriptor>(nameof(XdpDescriptor.Length)), Offset<XdpDescriptor>(nameof(XdpDescriptor.Options))));

    [Fact]
    public void SystemCallHasTheNumberOfItsArchitecture() =>
        Assert.Equal(RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 280 : 321, BpfCalls.Number);

    [Fact]
    public void MetadataIsWhatTheKernelReadsBeforeAFrame() => Assert.Equal(
        (XdpTransmitMetadata.Size, 8, 10),
        (Unsafe.SizeOf<XdpTransmitMetadata>(), Offset<XdpTransmitMetadata>(nameof(XdpTransmitMetadata.ChecksumStart)),
            Offset<XdpTransmitMetadata>(nameof(XdpTransmitMetadata.ChecksumOffset))));

    [Fact]
    public void InstructionsAreEncodedAsTheirStandardSays()
    {
        var code = new BpfAssembler();
        code.Move(BpfRegister.R0, 2);
        code.Load(BpfSize.Bits16, BpfRegister.R1, BpfRegister.R7, 12);
        code.JumpIf(BpfCondition.Equal, BpfRegister.R1, BpfRegister.R2, "end");
        code.Store(BpfSize.Bits32, BpfRegister.R10, -4, BpfRegister.R5);
        code.LoadMap(BpfRegister.R1, 9);
        code.Call(51);
        code.Label("end");
        code.Exit();
        // RFC 9669 §3 and §4: opcode, registers, offset, immediate, from the lowest byte on.
        Assert.Equal(
            [
                0x0000_0002_0000_00B7, 0x0000_0000_000C_7169, 0x0000_0000_0004_211D, 0x0000_0000_FFFC_5A63,
                0x0000_0009_0000_1118, 0, 0x0000_0033_0000_0085, 0x0000_0000_0000_0095,
            ],
            code.Assemble());
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void JumpToNowhereIsRefused()
    {
        var code = new BpfAssembler();
        code.Jump("nowhere");
        var e = Assert.Throws<InvalidOperationException>(() => code.Assemble());
        Assert.Contains("nowhere", e.Message, StringComparison.Ordinal);
    }

    private static int Offset<T>(string field) => (int)Marshal.OffsetOf<T>(field);
}
