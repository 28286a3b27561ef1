# nix run ./docs/deploy#kdiag -- demo
{
  description = "Says why a Kafka client cannot connect";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  outputs =
    { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      built = pkgs: pkgs.python3Packages.buildPythonApplication {
        pname = "kdiag";
        version = builtins.head (
          builtins.match ".*__version__ = \"([^\"]+)\".*" (builtins.readFile ../../kdiag/__init__.py)
        );
        pyproject = true;
        src = ../..;
        build-system = [ pkgs.python3Packages.hatchling ];
        dependencies = with pkgs.python3Packages; [
          boto3
          click
          confluent-kafka
          cryptography
          dnspython
          msgspec
          pyyaml
          rich
        ];
        pythonImportsCheck = [ "kdiag" ];
        meta.mainProgram = "kdiag";
      };
    in
    {
      packages = nixpkgs.lib.genAttrs systems (system: rec {
        kdiag = built nixpkgs.legacyPackages.${system};
        default = kdiag;
      });
    };
}
