// The configuration section "Peregrine": a few keys about the link are read here, all others are the network's own.
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Primitives;

namespace Peregrine.AspNetCore;

internal static class HostConfiguration
{
    private static readonly string[] s_ownKeys = ["Link", "KernelAddresses", "LinkOffloads"];

    /// <summary>Changes the options as the section says. A key that nobody knows is an error that names it.</summary>
    internal static void Apply(IConfiguration section, PeregrineHostOptions options)
    {
        if (section["Link"] is { } link) options.Link = link;
        var addresses = section.GetSection("KernelAddresses");
        if (addresses.Value is { } list) options.KernelAddresses = list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        else if (addresses.GetChildren().Select(static c => c.Value ?? "").ToArray() is { Length: > 0 } entries) options.KernelAddresses = entries;
        if (section["LinkOffloads"] is { } offloads)
        {
            if (!bool.TryParse(offloads, out var on)) throw new ArgumentException($"Peregrine:LinkOffloads is \"{offloads}\"; it must be true or false.");
            options.LinkSettings = options.LinkSettings with { Offloads = on };
        }
        options.Network = PeregrineConfiguration.Bind(new Rest(section), options.Network);
    }

    /// <summary>The section without the keys that were read here.</summary>
    private sealed class Rest(IConfiguration section) : IConfiguration
    {
        public string? this[string key]
        {
            get => section[key];
            set => section[key] = value;
        }

        public IEnumerable<IConfigurationSection> GetChildren() =>
            section.GetChildren().Where(static child => !s_ownKeys.Contains(child.Key, StringComparer.OrdinalIgnoreCase));

        public IChangeToken GetReloadToken() => section.GetReloadToken();

        public IConfigurationSection GetSection(string key) => section.GetSection(key);
    }
}
