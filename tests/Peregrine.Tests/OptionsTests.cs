// The options record: defaults that hold, messages that name setting, value and range, and binding from configuration.
using Microsoft.Extensions.Configuration;
using Peregrine.Sockets;

namespace Peregrine.Tests;

public sealed class OptionsTests
{
    public static TheoryData<PeregrineOptions, string, string> Wrong => new()
    {
        { new PeregrineOptions { SpinUs = -1 }, "SpinUs", "-1" },
        { new PeregrineOptions { MailboxCount = 100 }, "MailboxCount", "100" },
        { new PeregrineOptions { Cpu = 5_000 }, "Cpu", "5000" },
        { new PeregrineOptions { MtuBytes = 10 }, "MtuBytes", "10" },
        { new PeregrineOptions { Addresses = ["10.0.0"] }, "Addresses", "10.0.0" },
        { new PeregrineOptions { Gateways = ["gate"] }, "Gateways", "gate" },
        { new PeregrineOptions { Name = "a/b" }, "Name", "a/b" },
        { new PeregrineOptions { ControlSocket = " " }, "ControlSocket", "empty" },
        { new PeregrineOptions { Stack = new Core.StackOptions { FrameCount = 1 } }, "FrameCount", "1" },
    };

    [Fact]
    public void DefaultsAreValid()
    {
        var options = new PeregrineOptions();
        options.Validate();
        Assert.Equal(CompletionMode.Inline, options.CompletionMode);
        // A network that is told nothing behaves as Linux does.
        Assert.Equal(Core.Tcp.TcpProfile.Linux.Apply(options.Stack), options.Stack);
    }

    [Theory]
    [MemberData(nameof(Wrong))]
    public void MessageNamesSettingAndValue(PeregrineOptions options, string setting, string value)
    {
        var e = Assert.ThrowsAny<ArgumentException>(options.Validate);
        Assert.Contains(setting, e.Message, StringComparison.Ordinal);
        Assert.Contains(value, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ConfigurationIsBound()
    {
        var options = PeregrineConfiguration.Bind(Section(new()
        {
            ["P:Name"] = "edge",
            ["P:Addresses:0"] = "192.0.2.2/24",
            ["P:Gateways"] = "192.0.2.1, fe80::1",
            ["P:Idle"] = "block",
            ["P:Hosts:db"] = "192.0.2.9",
            ["P:Stack:ConnectionCountMax"] = "1000",
            ["P:Stack:Tcp:NoDelay"] = "true",
        }));
        Assert.Equal(("edge", IdleMode.Block, 1000, true), (options.Name, options.Idle, options.Stack.ConnectionCountMax, options.Stack.Tcp.NoDelay));
        Assert.Equal(["192.0.2.2/24"], options.Addresses);
        Assert.Equal(["192.0.2.1", "fe80::1"], options.Gateways);
        Assert.Equal(["192.0.2.9"], options.Hosts["db"]);
    }

    [Theory]
    [InlineData("P:Nmae", "x", "P:Nmae is no setting")]
    [InlineData("P:SpinUs", "fast", "P:SpinUs is \"fast\"; it must be a whole number")]
    [InlineData("P:Idle", "never", "P:Idle is \"never\"; it must be one of")]
    [InlineData("P:Stack:Tcp:NoDelay", "on", "true or false")]
    public void WrongConfigurationIsNamed(string key, string value, string message)
    {
        var e = Assert.Throws<ArgumentException>(() => PeregrineConfiguration.Bind(Section(new() { [key] = value })));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    private static IConfigurationSection Section(Dictionary<string, string?> values) =>
        new ConfigurationBuilder().AddInMemoryCollection(values).Build().GetSection("P");
}
